import {
  type Partition,
  partitionOf,
  type RunId,
  runOfTask,
  type TaskId,
  taskId,
  workflowKey,
} from "#shared/domain/ids.ts";
import { isTerminalTask } from "#shared/domain/states.ts";
import { type Engine, type LeaseRecord, leaseKey } from "../engine/engine.ts";
import type { Move, Mover } from "../engine/move.ts";
import { runKey, type TaskRecord, taskKey, timersIndex } from "../records.ts";
import { Change } from "../state/change.ts";
import { giveUpWait } from "../state/mailbox.ts";
import { giveUpEvent } from "../state/messages.ts";
import { makeReady, openToAll, settleCall } from "../state/settle-call.ts";
import { waitsForSlot } from "../state/slots.ts";
import { type Due, parseTimer, timerMember } from "../state/timers.ts";

export interface TimerDeps {
  readonly engine: Engine;
  readonly mover: Mover;
  /** A run's time-out, or the end of its grace after a cancel. */
  readonly endRun: (run: RunId, why: "run" | "grace") => Promise<void>;
}

/** Timers that one tick fires; the next goes on. */
const firedPerTickMax = 500;

type TaskDue = Extract<Due, { task: TaskId }>;

/** Fires a timer about a task: removing the member and the effect are one commit, so each fires once. */
const fireTimer: Move<TaskDue, void> = {
  name: "fireTimer",
  fresh: true,
  reads: ({ task }) => [
    taskKey(task),
    runKey(runOfTask(task)),
    taskKey(taskId(runOfTask(task), workflowKey)),
    leaseKey(partitionOf(runOfTask(task)), task),
  ],
  decide(view, due) {
    const change = new Change(view);
    const task = view.get<TaskRecord>(taskKey(due.task));
    change.unrank(timersIndex(partitionOf(runOfTask(due.task))), timerMember(due));
    if (task && !isTerminalTask(task.state)) {
      if (due.kind === "delay" && task.state === "delayed") makeReady(change, task);
      if (due.kind === "call" && task.state === "waiting") endWait(change, task);
      if (due.kind === "queue" && isQueueing(change, task)) endQueueing(change, task);
      if (due.kind === "agent" && task.state === "ready" && !isLeased(change, task)) openToAll(change, task);
    }
    return { transactions: change.drafts(), answer: () => undefined };
  },
};

function endWait(change: Change, task: TaskRecord): void {
  if (task.kind === "sleep") {
    settleCall(change, task, { outcome: "succeeded" });
    return;
  }
  if (task.kind === "signal") giveUpWait(change, task);
  else giveUpEvent(change, task);
  const failure = { type: "TimedOut", message: `No ${task.kind} '${task.name}' came in time.`, retryable: false };
  settleCall(change, task, { outcome: "timedOut", failure });
}

/** C17: to wait for a slot is to wait to be leased. */
const isQueueing = (change: Change, task: TaskRecord): boolean =>
  waitsForSlot(task) || (task.state === "ready" && !isLeased(change, task));

function isLeased(change: Change, task: TaskRecord): boolean {
  const lease = change.view.get<LeaseRecord>(leaseKey(partitionOf(task.run), taskId(task.run, task.key)));
  return lease !== null && lease.holder !== "";
}

function endQueueing(change: Change, task: TaskRecord): void {
  change.write({ kind: "dequeue", queue: task.queue, member: taskId(task.run, task.key) });
  const failure = {
    type: "QueueTimedOut",
    message: waitsForSlot(task)
      ? `Limit '${task.options.limit?.name}' had no slot for the task within ${task.options.queueTimeoutMs} ms.`
      : `No agent took the task within ${task.options.queueTimeoutMs} ms.`,
    retryable: false,
    details: { queue: task.queue },
  };
  settleCall(change, task, { outcome: "failed", failure });
}

/** Fires what is due. Answers the time of the next timer, or null when there is none. */
export async function fireTimers(deps: TimerDeps, partition: Partition): Promise<{ nextInMs: number | null }> {
  const { nowMs, rows } = await deps.engine.range(timersIndex(partition), { limit: firedPerTickMax });
  const due = rows.filter((row) => row.score <= nowMs);
  await Promise.all(
    due.map(async (row) => {
      const timer = parseTimer(row.member);
      if ("run" in timer) await deps.endRun(timer.run, timer.kind);
      else await deps.mover.move(partition, fireTimer, timer);
    }),
  );
  const next = rows[due.length];
  if (due.length === rows.length && rows.length === firedPerTickMax) return { nextInMs: 0 };
  return { nextInMs: next ? Math.max(0, next.score - nowMs) : null };
}
