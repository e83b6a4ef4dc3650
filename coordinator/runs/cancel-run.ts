import type { Failure } from "#shared/domain/errors.ts";
import { partitionOf, type RunId, taskId, workflowKey } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { isTerminalRun, isTerminalTask } from "#shared/domain/states.ts";
import { at, inMs, type Move } from "../engine/move.ts";
import { closingIndex, type RunRecord, runKey, type TaskRecord, taskKey, timersIndex } from "../records.ts";
import type { EndRunOutcome } from "../stages.ts";
import { Change } from "../state/change.ts";
import { endRun } from "../state/new-run.ts";
import { wakeWorkflow } from "../state/settle-call.ts";
import { timerMember } from "../state/timers.ts";

/**
 * Asks a run to end: journals the cancel, so that the workflow's pending await throws; its open calls are cancelled in
 * bounded steps; after `limits.cancelGraceMs` it is ended by force.
 */
export const cancelRun: Move<{ run: RunId; reason: string; by: string }, EndRunOutcome> = {
  name: "cancelRun",
  reads: ({ run }) => [runKey(run), taskKey(taskId(run, workflowKey))],
  decide(view, { run: id, reason, by }) {
    const run = view.get<RunRecord>(runKey(id));
    if (!run) return { transactions: [], answer: () => ({ kind: "unknown" }) };
    if (isTerminalRun(run.state)) return { transactions: [], answer: () => ({ kind: "ended" }) };
    if (run.cancel) return { transactions: [], answer: () => ({ kind: "done" }) };
    // C16: that the parent is ending may have been forgotten since it was found.
    const parent = by === "parent" && run.parent ? view.get<RunRecord>(runKey(run.parent.run)) : null;
    if (parent && !isEnding(parent)) return { transactions: [], answer: () => ({ kind: "done" }) };
    const change = new Change(view);
    const cancelling: RunRecord = { ...run, state: "cancelling", cancel: { reason, by, atMs: Math.round(view.nowMs) } };
    change.set(runKey(id), cancelling);
    change.journal(id, { e: "cancel", reason, by });
    change.rank(closingIndex(partitionOf(id)), id, at(view.nowMs));
    change.rank(timersIndex(partitionOf(id)), timerMember({ kind: "grace", run: id }), inMs(limits.cancelGraceMs));
    wakeWorkflow(change, cancelling, null);
    return { transactions: change.drafts(), answer: () => ({ kind: "done" }) };
  },
};

/** Its open calls are to be cancelled: it has ended, or is to end. */
export const isEnding = (run: RunRecord): boolean => isTerminalRun(run.state) || run.cancel !== null;

/** Ends a run whatever its workflow is doing: its time is over, or it had its grace after a cancel. */
export const forceEnd: Move<{ run: RunId; why: "run" | "grace" }, "ended" | "was ended"> = {
  name: "forceEnd",
  reads: ({ run }) => [runKey(run), taskKey(taskId(run, workflowKey))],
  decide(view, { run: id, why }) {
    const run = view.get<RunRecord>(runKey(id));
    const task = view.get<TaskRecord>(taskKey(taskId(id, workflowKey)));
    const change = new Change(view);
    if (!run || isTerminalRun(run.state) || (why === "grace" && !run.cancel)) {
      change.unrank(timersIndex(partitionOf(id)), timerMember({ kind: why, run: id }));
      return { transactions: change.drafts(), answer: () => "was ended" };
    }
    const failure: Failure =
      why === "run"
        ? { type: "TimedOut", message: "The run lasted longer than its time-out allows.", retryable: false }
        : { type: "CancelledError", message: `The run was cancelled: ${run.cancel?.reason ?? ""}`, retryable: false };
    const state = why === "run" ? "failed" : "cancelled";
    if (task && !isTerminalTask(task.state)) {
      change.set(taskKey(taskId(id, workflowKey)), { ...task, state, failure, endedAtMs: Math.round(view.nowMs) });
      change.write({ kind: "dequeue", queue: task.queue, member: taskId(id, workflowKey) });
    }
    endRun(change, run, { state, failure });
    return { transactions: change.drafts(), answer: () => "ended" };
  },
};
