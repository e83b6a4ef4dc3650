import { assert } from "./assert.ts";

/**
 * What is stored of a task. That a ready task is leased is said by its lease, not here, so that granting touches no
 * task record.
 */
export type TaskState = "waiting" | "ready" | "delayed" | "parked" | "succeeded" | "failed" | "cancelled";

/** What people are shown: a ready task under an accepted lease is running. */
export type TaskStatus = TaskState | "running";

export type RunState = "open" | "cancelling" | "succeeded" | "failed" | "cancelled" | "restarted";

/** What people are shown of an open run. */
export type RunStatus = "queued" | "running" | "parked" | Exclude<RunState, "open">;

/**
 * The legal moves of a task. `waiting`: a ref it was given is not settled;
 * or, of a call that no agent executes (child workflow, sleep, signal, event), what it waits for has not come. `ready`: in a queue or leased. `delayed`:
 * a retry, or a call with a delay, waits for its time. `parked`: a workflow that was let go and waits for its journal
 * to grow; its program may still report, when it did not hear that it was parked. The last three are terminal.
 */
export const taskMoves: Readonly<Record<TaskState, readonly TaskState[]>> = {
  waiting: ["ready", "succeeded", "failed", "cancelled"],
  ready: ["delayed", "parked", "succeeded", "failed", "cancelled"],
  delayed: ["ready", "succeeded", "failed", "cancelled"],
  parked: ["ready", "delayed", "succeeded", "failed", "cancelled"],
  succeeded: [],
  failed: [],
  cancelled: [],
};

export const runMoves: Readonly<Record<RunState, readonly RunState[]>> = {
  open: ["cancelling", "succeeded", "failed", "cancelled", "restarted"],
  cancelling: ["succeeded", "failed", "cancelled", "restarted"],
  succeeded: [],
  failed: [],
  cancelled: [],
  restarted: [],
};

export const isTerminalTask = (state: TaskState): boolean => taskMoves[state].length === 0;
export const isTerminalRun = (state: RunState): boolean => runMoves[state].length === 0;

/** Broken invariant when the move is not in the table. */
export function assertTaskMove(from: TaskState, to: TaskState): void {
  assert(taskMoves[from].includes(to), `a ${from} task does not become ${to}`);
}

export function assertRunMove(from: RunState, to: RunState): void {
  assert(runMoves[from].includes(to), `a run that is ${from} does not become ${to}`);
}
