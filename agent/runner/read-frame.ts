import { z } from "zod";
import { type ProgramFrame, programFrameSchema } from "#shared/protocol/task.ts";

export type Hello = Extract<ProgramFrame, { t: "hello" }>;
/** Ends a work. */
export type Answer = Extract<ProgramFrame, { t: "done" | "fail" | "restart" }>;
/** Said of a work that goes on. */
export type Saying = Exclude<ProgramFrame, Hello | Answer>;

export const isAnswer = (frame: ProgramFrame): frame is Answer =>
  frame.t === "done" || frame.t === "fail" || frame.t === "restart";

/** The frame, or what is wrong with the line. */
export function readFrame(line: string): ProgramFrame | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return "sent a line that is not JSON";
  }
  const read = programFrameSchema.safeParse(value);
  return read.success ? read.data : `sent a frame that does not fit the protocol: ${z.prettifyError(read.error)}`;
}

/** The hello in a line, or null. */
export function readHello(line: string): Hello | null {
  const frame = readFrame(line);
  return typeof frame !== "string" && frame.t === "hello" ? frame : null;
}
