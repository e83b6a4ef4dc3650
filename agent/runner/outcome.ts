import type { Result } from "#shared/protocol/agent.ts";
import { describeExit, failureOf, programExited } from "../failures.ts";
import type { Attempt } from "../leases/attempt.ts";
import type { ProgramExit } from "../ports.ts";
import { leaseLost } from "./check-deadlines.ts";
import type { Program } from "./program.ts";

export const unknownExit: ProgramExit = { code: null, signal: null };

/** Of the workflows in a process that was ended for another's sake. Without a verdict it ended by itself, for any of them. */
export const isInnocent = ({ kind, verdict }: Program, attempt: Attempt): boolean =>
  kind === "workflow" && verdict !== null && verdict.culprit !== attempt && attempt.stop === null;

/** The result of an attempt that was told to stop and did. */
export function cancelledResult(attempt: Attempt, how: string): Result {
  const reason = attempt.stop?.reason ?? "cancelled";
  return { kind: "cancelled", failure: failureOf("CancelledError", `${reason}. ${how}`, { retryable: false }) };
}

/** What really happened to the attempt whose process ended without an answer (A51). */
export function resultOfEnd(
  program: Program,
  attempt: Attempt,
  { exit, nowMs }: { exit: ProgramExit | null; nowMs: number },
): Result {
  const failure = program.verdict?.failure ?? null;
  // The program, which knows its time too, may have been quicker.
  if (nowMs >= attempt.heldUntilMs) return { kind: "lost", failure: leaseLost };
  if (failure !== null && program.verdict?.culprit === attempt) return { kind: "fail", failure };
  if (attempt.stop !== null) return cancelledResult(attempt, `The program ${describeExit(exit ?? unknownExit)}.`);
  if (program.adopted && (exit === null || program.verdict?.culprit === null)) {
    const message = "The agent was away meanwhile, and does not know what became of the attempt.";
    return { kind: "lost", failure: failureOf("AgentLost", message, { retryable: true }) };
  }
  const stderr = program.stderrTail(attempt);
  return { kind: "fail", failure: programExited(exit ?? unknownExit, stderr, "without answering") };
}
