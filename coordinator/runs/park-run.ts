import { type CallKey, partitionOf, type RunId, runOfTask, type TaskId } from "#shared/domain/ids.ts";
import { isTerminalRun, isTerminalTask } from "#shared/domain/states.ts";
import { type LeaseRecord, leaseKey } from "../engine/engine.ts";
import type { Move } from "../engine/move.ts";
import { journalLog, type RunRecord, runKey, type TaskRecord, taskKey } from "../records.ts";
import { epochOf, isVoid } from "../state/void-leases.ts";

export interface ParkRun {
  readonly task: TaskId;
  readonly fence: number;
  /** The last journal position that the program was given. */
  readonly given: number;
  readonly awaiting: readonly CallKey[];
}

export type ParkOutcome = "parked" | "grown" | "stale";

/**
 * Lets a workflow go that only waits. The commit checks that the journal still ends where the program's knowledge ends;
 * else the rest is delivered instead (C4: a settlement between look and park would be slept through).
 */
export const parkRun: Move<ParkRun, ParkOutcome> = {
  name: "parkRun",
  reads: ({ task }) => [
    runKey(runOfTask(task)),
    taskKey(task),
    leaseKey(partitionOf(runOfTask(task)), task),
    epochOf(task),
  ],
  decide(view, { task: id, fence, given, awaiting }) {
    const runId: RunId = runOfTask(id);
    const run = view.get<RunRecord>(runKey(runId));
    const task = view.get<TaskRecord>(taskKey(id));
    const unwritten = (outcome: ParkOutcome) => ({ transactions: [], answer: () => outcome });
    if (!run || !task || isTerminalRun(run.state) || isTerminalTask(task.state)) return unwritten("stale");
    const lease = leaseKey(partitionOf(runId), id);
    if (view.stamp(lease) !== String(fence) || isVoid(view, { task: id, fence })) return unwritten("stale");
    const holder = view.get<LeaseRecord>(lease)?.holder ?? "";
    // An answer that was lost: it did park, and has been woken since.
    if (view.unmet) return unwritten(holder === "" ? "stale" : "grown");
    const by = { agent: holder.slice(0, holder.indexOf(":")), atMs: Math.round(view.nowMs), given };
    const parkedBy = holder === "" ? {} : { parkedBy: by };
    return {
      transactions: [
        {
          checks: [{ kind: "end", log: journalLog(runId), position: given }],
          writes: [
            { kind: "set", key: runKey(runId), value: { ...run, parked: awaiting } },
            { kind: "set", key: taskKey(id), value: { ...task, state: "parked", losses: 0, ...parkedBy } },
            { kind: "release", member: id },
            { kind: "dequeue", queue: task.queue, member: id },
          ],
        },
      ],
      answer: () => "parked",
    };
  },
};
