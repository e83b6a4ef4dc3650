import type { AgentFrame, LogChunk, Report } from "#shared/protocol/agent.ts";

/**
 * Something that must not be lost between here and the coordinator: kept until accepted, and sent again over a new
 * connection. The text is made once.
 */
export interface Unit {
  readonly kind: "report" | "logs" | "calls" | "emit";
  /** JSON text: one report, one log chunk, or the fields of a `calls` or `emit` frame without braces, `t` and `seq`. */
  readonly text: string;
  readonly bytes: number;
  /** The attempt it is about, as `attemptKey`. */
  readonly attempt: string;
  accepted(): void;
}

export function reportUnit(attempt: string, report: Report, accepted: () => void): Unit {
  const text = JSON.stringify(report);
  return { kind: "report", text, bytes: Buffer.byteLength(text), attempt, accepted };
}

export function logUnit(attempt: string, chunk: LogChunk, accepted: () => void): Unit {
  const text = JSON.stringify(chunk);
  return { kind: "logs", text, bytes: Buffer.byteLength(text), attempt, accepted };
}

type Fields<T extends AgentFrame["t"]> = Omit<Extract<AgentFrame, { t: T }>, "t" | "seq">;

export function frameUnit<T extends "calls" | "emit">(
  attempt: string,
  kind: T,
  fields: Fields<T>,
  accepted: () => void,
): Unit {
  const text = JSON.stringify(fields).slice(1, -1);
  return { kind, text, bytes: Buffer.byteLength(text), attempt, accepted };
}
