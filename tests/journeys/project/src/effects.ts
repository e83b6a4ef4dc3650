import { appendFileSync } from "node:fs";
import { z } from "@salt/sdk";

/** Where executions are counted: outside of Salt, so that what Salt says of itself can be held against it. */
export const Counted = z.object({
  /** A file to which each execution of a task appends a line. Default: nothing is written. */
  effects: z.string().optional(),
  /** How long each task takes. */
  paceMs: z.number().default(0),
});
export type Counted = z.infer<typeof Counted>;

/** Notes that a task begins: its id, the time, its process. One write is one line, also from many processes at once. */
export function count({ effects }: Counted, task: string): void {
  if (effects !== undefined) appendFileSync(effects, `${task} ${Date.now()} ${process.pid}\n`);
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
