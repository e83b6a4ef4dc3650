import { partitionOf, runOfTask, type TaskId } from "#shared/domain/ids.ts";
import { isTerminalTask } from "#shared/domain/states.ts";
import { type LeaseRecord, leaseKey } from "../engine/engine.ts";
import { at, type Move } from "../engine/move.ts";
import { type TaskRecord, taskKey } from "../records.ts";
import { Change } from "../state/change.ts";
import { queueScore } from "../state/queues.ts";
import { settleCall } from "../state/settle-call.ts";

export interface GiveBack {
  readonly task: TaskId;
  readonly fence: number;
  /** `handback`: the agent never began. `expired`: its deadline passed. `omitted`: the agent no longer knows of it. */
  readonly why: "handback" | "expired" | "omitted";
}

/**
 * Ends a lease without a report: the task goes back to its queue and is granted anew under a higher fence. A grant that
 * was never accepted, or an attempt that never began, counts no attempt (C12, C19); else the attempt is recorded.
 */
export const giveBack: Move<GiveBack, "given back" | "stale"> = {
  name: "giveBack",
  fresh: true,
  reads: ({ task }) => [leaseKey(partitionOf(runOfTask(task)), task), taskKey(task)],
  decide(view, { task: id, fence, why }) {
    const key = leaseKey(partitionOf(runOfTask(id)), id);
    const lease = view.get<LeaseRecord>(key);
    const task = view.get<TaskRecord>(taskKey(id));
    if (!lease || lease.holder === "" || view.stamp(key) !== String(fence))
      return { transactions: [], answer: () => "stale" };
    const release = { kind: "release", member: id } as const;
    if (!task || isTerminalTask(task.state)) {
      return { transactions: [{ checks: [], writes: [release] }], answer: () => "given back" };
    }
    if (task.cancelReason !== null) {
      const change = new Change(view);
      change.write(release);
      const failure = { type: "CancelledError", message: `Cancelled: ${task.cancelReason}`, retryable: false };
      settleCall(change, task, { outcome: "cancelled", failure });
      return { transactions: change.drafts(), answer: () => "given back" };
    }
    const counted = why !== "handback" && lease.state !== "granted";
    const nowMs = Math.round(view.nowMs);
    const score = at(queueScore(task.readyAtMs ?? nowMs, task.options.priority ?? 0));
    return {
      transactions: [
        {
          checks: [],
          writes: [
            {
              kind: "set",
              key: taskKey(id),
              value: { ...(counted ? withLoss(task, lease, fence, nowMs) : task), returned: true },
            },
            release,
            { kind: "enqueue", queue: task.queue, member: id, score },
          ],
        },
      ],
      answer: () => "given back",
    };
  },
};

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
  return { ...task, attempts: [...task.attempts.slice(-9), attempt], attemptsEnded: task.attemptsEnded + 1 };
}
