import type { Failure } from "#shared/domain/errors.ts";
import { partitionOf, runOfTask, type TaskId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { type LeaseRecord, leaseKey } from "../engine/engine.ts";
import { at, type Decision, type Move } from "../engine/move.ts";
import { type TaskRecord, taskKey, timersIndex } from "../records.ts";
import { Change } from "../state/change.ts";
import { classQueue, queueScore } from "../state/queues.ts";
import { queueTimer, settleCall } from "../state/settle-call.ts";
import { timerMember } from "../state/timers.ts";

export interface GiveBack {
  readonly task: TaskId;
  readonly fence: number;
  /** `handback`: the agent never began. `expired`: its deadline passed. `omitted`: the agent no longer knows of it. */
  readonly why: "handback" | "expired" | "omitted";
  /** Of an expired one: how long ago its deadline was, on the lease clock. */
  readonly lateMs?: number;
}

/**
 * Ends a lease without a report: the task goes back to its queue and is granted anew under a higher fence. A grant that
 * was never accepted, or an attempt that never began, counts no attempt (C12, C19); else the attempt is recorded.
 */
export const giveBack: Move<GiveBack, "given back" | "stale" | "not yet"> = {
  name: "giveBack",
  fresh: true,
  reads: ({ task }) => [leaseKey(partitionOf(runOfTask(task)), task), taskKey(task)],
  decide(view, input) {
    const { task: id, fence, why } = input;
    const key = leaseKey(partitionOf(runOfTask(id)), id);
    const lease = view.get<LeaseRecord>(key);
    const task = view.get<TaskRecord>(taskKey(id));
    if (!lease || lease.holder === "" || view.stamp(key) !== String(fence))
      return { transactions: [], answer: () => "stale" };
    if (task && mayStillRun(task, input)) return { transactions: [], answer: () => "not yet" };
    const change = new Change(view);
    change.write({ kind: "release", member: id });
    const givenBack = (): Decision<"given back"> => ({ transactions: change.drafts(), answer: () => "given back" });
    // Of a leased task that is not ready, a report or a park is in this very batch: it has released the lease.
    if (task?.state !== "ready") return givenBack();
    const counted = why !== "handback" && lease.state !== "granted";
    const nowMs = Math.round(view.nowMs);
    const next = counted ? withLoss(task, lease, fence, nowMs) : task;
    const failure = endedBy(next);
    if (failure) {
      change.unrank(timersIndex(partitionOf(task.run)), timerMember({ kind: "queue", task: id }));
      settleCall(change, next, { outcome: task.cancelReason === null ? "failed" : "cancelled", failure });
      return givenBack();
    }
    const score = at(queueScore(task.readyAtMs ?? nowMs, task.options.priority ?? 0));
    const queue = classQueue(task.queue);
    change.set(taskKey(id), { ...next, queue, returned: true });
    change.write({ kind: "enqueue", queue, member: id, score }, ...queueTimer(task));
    return givenBack();
  },
};

/**
 * C17: the attempt of a task whose attempts must not overlap ends by its agent's clock when its lease does, and has a
 * while for that. Until then nothing follows from its end: no further attempt, and no free slot. An agent that does not
 * know of it any more may have left its program behind; only one that says that it never began is believed.
 */
function mayStillRun({ options }: TaskRecord, { why, lateMs = 0 }: GiveBack): boolean {
  return options.onLeaseLost === "stop" && why !== "handback" && lateMs < limits.leaseLostMarginMs;
}

/** Why a task that lost its lease is not granted again. */
function endedBy(task: TaskRecord): Failure | null {
  if (task.cancelReason !== null) {
    return { type: "CancelledError", message: `Cancelled: ${task.cancelReason}`, retryable: false };
  }
  if (task.kind === "workflow" || task.losses < limits.lossesInRowMax) return null;
  const message = `The task was lost with its agent ${task.losses} times in a row: it may be what ends them.`;
  return { type: "AgentLost", message, retryable: false };
}

/** A workflow's losses are its crashes without progress: how far it got with the agent that was lost, nobody knows. */
function withLoss(task: TaskRecord, lease: LeaseRecord, fence: number, nowMs: number): TaskRecord {
  const attempt = {
    attempt: task.attemptsEnded + 1,
    fence,
    agent: lease.holder.slice(0, lease.holder.indexOf(":")),
    outcome: "expired",
    ranMs: 0,
    endedAtMs: nowMs,
    failure: null,
  } as const;
  return {
    ...task,
    attempts: [...task.attempts.slice(-9), attempt],
    attemptsEnded: task.attemptsEnded + 1,
    losses: task.kind === "workflow" ? task.losses : task.losses + 1,
  };
}
