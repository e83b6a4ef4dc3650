import { assert } from "#shared/domain/assert.ts";
import type { Failure } from "#shared/domain/errors.ts";
import { partitionOf, type RunId, runOfTask, taskId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { isTerminalRun, isTerminalTask } from "#shared/domain/states.ts";
import type { Report } from "#shared/protocol/agent.ts";
import type { Retry, Value } from "#shared/protocol/common.ts";
import { leaseKey } from "../engine/engine.ts";
import { type Decision, inMs, type Move } from "../engine/move.ts";
import {
  type AttemptRecord,
  journalLog,
  type RunRecord,
  runKey,
  type TaskRecord,
  taskKey,
  timersIndex,
} from "../records.ts";
import { Change } from "../state/change.ts";
import { keepUnread } from "../state/mailbox.ts";
import { endRun, type NewRun, type RunEnd, writeNewRun } from "../state/new-run.ts";
import { makeReady, settleCall } from "../state/settle-call.ts";
import { timerMember } from "../state/timers.ts";
import type { SignalRecord } from "../state/unread-signals.ts";
import { isVoid } from "../state/void-leases.ts";

export interface SettleReport {
  readonly report: Report;
  readonly agent: string;
  /** A number in [0, 1): the jitter of a retry's pause, drawn outside so that the decision stays pure. */
  readonly jitter: number;
  /** Of a workflow whose process crashed: the position at which its journal ended then. */
  readonly crashedAt: number;
  /** Of a restart: the run that goes on. */
  readonly successor: Successor | null;
}

export interface Successor {
  readonly id: RunId;
  readonly seed: string;
  /** Signals that nobody has taken, out of a journal that ended at `journalEnd`. */
  readonly unread: readonly SignalRecord[];
  readonly journalEnd: number;
}

export type SettleOutcome =
  /** The journal has grown past the successor's `journalEnd`: to be looked at again. Nothing was written. */
  | { readonly kind: "grown" }
  | { readonly kind: "settled" | "retried" | "repeated" }
  /** The fence is not the task's newest: the report changes nothing. */
  | { readonly kind: "stale" }
  /** Another report under the same fence was accepted before. */
  | { readonly kind: "contradicted" };

/** Attempts that an attempt's record names: the last ones. */
const attemptsKept = 10;

export const defaultRetry: Retry = { attempts: 1, backoffMs: 1_000, factor: 2, backoffMaxMs: 5 * 60_000 };

/** Pauses between replays of a workflow whose process crashed. */
const replayRetry: Retry = {
  attempts: limits.crashesWithoutProgressMax,
  backoffMs: 100,
  factor: 2,
  backoffMaxMs: 5_000,
};

/** What the agent says of a program that gave no answer: the workflow is replayed. */
const crashTypes = new Set([
  "ProgramExited",
  "ProgramSilent",
  "AgentLost",
  "BinaryUnavailable",
  "ValueUnavailable",
  "NoSpace",
  "TimedOut",
  "ProtocolViolation",
]);

/**
 * C11: a report is accepted when its fence is the task's newest and the task has not ended, also after the deadline,
 * also when the task is back in its queue. The first accepted report decides.
 */
export const settleReport: Move<SettleReport, SettleOutcome> = {
  name: "settleReport",
  reads: ({ report }) => [
    taskKey(report.task),
    leaseKey(partitionOf(runOfTask(report.task)), report.task),
    runKey(runOfTask(report.task)),
  ],
  decide(view, input) {
    const { report } = input;
    const task = view.get<TaskRecord>(taskKey(report.task));
    const fence = view.stamp(leaseKey(partitionOf(runOfTask(report.task)), report.task));
    if (!task || fence !== String(report.fence)) return unwritten("stale");
    // A task's result is its own; a workflow's rests on its journal.
    if (task.kind === "workflow" && isVoid(view, report)) return unwritten("stale");
    const last = task.attempts.at(-1);
    if (last?.fence === report.fence && last.outcome !== "expired") {
      return unwritten(agrees(last, report) ? "repeated" : "contradicted");
    }
    if (isTerminalTask(task.state)) return unwritten("stale");
    const run = view.get<RunRecord>(runKey(task.run));
    if (!run) return unwritten("stale");
    if (view.unmet && input.successor) return unwritten("grown");
    const change = new Change(view);
    change.write({ kind: "release", member: report.task });
    if (task.returned) change.write({ kind: "dequeue", queue: task.queue, member: report.task });
    const settle = task.kind === "workflow" ? settleWorkflow : settleTask;
    const kind = settle(change, run, attempted(task, input, view.nowMs), input);
    return { transactions: change.drafts(), answer: () => ({ kind }) };
  },
};

const unwritten = (kind: SettleOutcome["kind"]): Decision<SettleOutcome> => ({
  transactions: [],
  answer: () => ({ kind }) as SettleOutcome,
});

const outcomes = {
  done: "succeeded",
  restart: "succeeded",
  fail: "failed",
  cancelled: "cancelled",
  lost: "lost",
} as const;

const agrees = (attempt: AttemptRecord, report: Report): boolean => attempt.outcome === outcomes[report.result.kind];

function failureOf(report: Report): Failure | null {
  return "failure" in report.result ? (report.result.failure as Failure) : null;
}

export const isCrash = ({ result }: Report): boolean =>
  result.kind === "lost" || (result.kind === "fail" && !result.answered && crashTypes.has(result.failure.type));

/** The task with one more attempt behind it. One whose lease expired, and which reports all the same, was counted then. */
function attempted(before: TaskRecord, input: SettleReport, nowMs: number): TaskRecord {
  const { report } = input;
  const task = before.attempts.at(-1)?.fence === report.fence ? withoutLast(before) : before;
  const attempt: AttemptRecord = {
    attempt: task.attemptsEnded + 1,
    fence: report.fence,
    agent: input.agent,
    outcome: outcomes[report.result.kind],
    ranMs: report.ranMs,
    endedAtMs: Math.round(nowMs),
    failure: failureOf(report),
  };
  const attempts = [...task.attempts.slice(1 - attemptsKept), attempt];
  return {
    ...task,
    attempts,
    attemptsEnded: task.attemptsEnded + 1,
    losses: isCrash(report) ? task.losses + 1 : 0,
  };
}

const withoutLast = (task: TaskRecord): TaskRecord => ({
  ...task,
  attempts: task.attempts.slice(0, -1),
  attemptsEnded: task.attemptsEnded - 1,
  losses: task.kind === "workflow" ? task.losses : task.losses - 1,
});

function settleTask(change: Change, run: RunRecord, task: TaskRecord, input: SettleReport): "settled" | "retried" {
  const { result } = input.report;
  if (task.options.queueTimeoutMs !== undefined) {
    change.unrank(timersIndex(partitionOf(task.run)), timerMember({ kind: "queue", task: input.report.task }));
  }
  if (result.kind === "done") {
    settleCall(change, task, {
      outcome: "succeeded",
      output: result.output,
      ...(result.checks ? { checks: result.checks } : {}),
    });
    return "settled";
  }
  const failure = failureOf(input.report) ?? restartOutsideWorkflow;
  if (result.kind === "cancelled" || task.cancelReason !== null) {
    settleCall(change, task, { outcome: "cancelled", failure });
    return "settled";
  }
  const retry: Retry = { ...defaultRetry, ...(task.options.retry as Partial<Retry>) };
  const again =
    result.kind === "lost" ? task.losses < limits.lossesInRowMax : failure.retryable && reported(task) < retry.attempts;
  if (again) {
    const delayMs = pauseMs(retry, Math.max(1, reported(task)), input.jitter);
    // The end of a run is the last entry of its journal, whatever its detached tasks go through after it.
    if (!isTerminalRun(run.state)) {
      change.journal(task.run, { e: "retried", key: task.key, attempt: task.attemptsEnded, failure, delayMs });
    }
    retryTask(change, task, delayMs);
    return "retried";
  }
  const checks = result.kind === "fail" ? result.checks : undefined;
  settleCall(change, task, { outcome: "failed", failure, ...(checks ? { checks } : {}) });
  return "settled";
}

/** Attempts that ended by themselves: lost ones use up no retry. */
const reported = (task: TaskRecord): number =>
  task.attemptsEnded -
  task.attempts.filter((attempt) => attempt.outcome === "lost" || attempt.outcome === "expired").length;

const restartOutsideWorkflow: Failure = {
  type: "ProtocolViolation",
  message: "A task answered 'restart', which only a workflow can.",
  retryable: false,
};

/** Full jitter: evenly between zero and a bound that grows by `factor` from one attempt to the next. */
export function pauseMs(retry: Retry, attemptsEnded: number, jitter: number): number {
  return Math.floor(jitter * Math.min(retry.backoffMaxMs, retry.backoffMs * retry.factor ** (attemptsEnded - 1)));
}

function retryTask(change: Change, task: TaskRecord, delayMs: number): void {
  const id = taskId(task.run, task.key);
  if (delayMs < 1) {
    makeReady(change, task);
    return;
  }
  change.set(taskKey(id), { ...task, state: "delayed", readyAtMs: Math.round(change.view.nowMs + delayMs) });
  change.rank(timersIndex(partitionOf(task.run)), timerMember({ kind: "delay", task: id }), inMs(delayMs));
}

function settleWorkflow(change: Change, run: RunRecord, task: TaskRecord, input: SettleReport): "settled" | "retried" {
  const failure = failureOf(input.report);
  if (failure && isCrash(input.report) && !isTerminalRun(run.state)) {
    return replay(change, run, task, failure, input);
  }
  const end = endOf(run, input);
  endWorkflowTask(change, task, end);
  const { result } = input.report;
  if (end.next && input.successor && result.kind === "restart") {
    writeSuccessor(change, run, task, input.successor, result.input);
  }
  endRun(change, run, end);
  return "settled";
}

function endOf(run: RunRecord, input: SettleReport): RunEnd {
  const { result } = input.report;
  switch (result.kind) {
    case "done":
      return { state: "succeeded", output: result.output };
    case "restart":
      assert(input.successor, "a restart comes with the id of the run that goes on");
      // What was to end does not go on under another id.
      if (run.cancel) return { state: "cancelled", failure: cancelledBefore(run.cancel.reason) };
      return { state: "restarted", next: input.successor.id };
    case "cancelled":
      return { state: "cancelled", failure: result.failure as Failure };
    default: {
      const failure = result.failure as Failure;
      return { state: run.cancel !== null && failure.type === "CancelledError" ? "cancelled" : "failed", failure };
    }
  }
}

const cancelledBefore = (reason: string): Failure => ({
  type: "CancelledError",
  message: `The run was cancelled before it could go on as a new one: ${reason}`,
  retryable: false,
});

/**
 * A crash replays with back-off; crashes in a row without a new journal entry end the run. What the process itself had
 * been given does not count: several that end while they start have been given nothing, whatever the run's tasks did.
 */
function replay(
  change: Change,
  run: RunRecord,
  task: TaskRecord,
  failure: Failure,
  input: SettleReport,
): "settled" | "retried" {
  const { crashedAt } = input;
  const losses = crashedAt === task.crashedAt ? task.losses : 1;
  const crashed = { ...task, crashedAt, losses };
  if (losses < limits.crashesWithoutProgressMax) {
    // Its park was not heard of: it is replayed like any other.
    if (run.parked) change.set(runKey(run.id), { ...run, parked: null });
    // It is in the attempts alone: in the journal it would look like getting further.
    retryTask(change, crashed, pauseMs(replayRetry, losses, input.jitter));
    return "retried";
  }
  const loop: Failure = {
    type: "WorkflowCrashLoop",
    message: `The workflow's process ended ${losses} times without a new journal entry.`,
    retryable: false,
    cause: failure,
    details: { crashedAt },
  };
  endWorkflowTask(change, crashed, { state: "failed", failure: loop });
  endRun(change, run, { state: "failed", failure: loop });
  return "settled";
}

function endWorkflowTask(change: Change, task: TaskRecord, end: RunEnd): void {
  change.set(taskKey(taskId(task.run, task.key)), {
    ...task,
    state: end.state === "restarted" ? "succeeded" : end.state,
    output: end.output ?? null,
    failure: end.failure ?? null,
    endedAtMs: Math.round(change.view.nowMs),
  });
}

function writeSuccessor(change: Change, run: RunRecord, task: TaskRecord, successor: Successor, input: Value): void {
  const next: NewRun = {
    id: successor.id,
    project: run.project,
    release: run.release,
    workflow: run.workflow,
    queue: task.queue,
    options: task.options,
    input,
    seed: successor.seed,
    trigger: run.trigger,
    parent: run.parent,
    previous: run.id,
    priority: run.priority,
    identityDigest: null,
    runTimeoutMs: run.runTimeoutMs,
    refs: [],
    waits: false,
  };
  change.check({ kind: "end", log: journalLog(run.id), position: successor.journalEnd });
  writeNewRun(change, next);
  pointParent(change, run, successor.id);
  for (const signal of successor.unread) {
    change.journal(successor.id, signal);
    keepUnread(change, successor.id, signal);
  }
}

/** The call of the parent is now of the run that goes on: the one before it may be removed while that is still open. */
function pointParent(change: Change, { parent }: RunRecord, child: RunId): void {
  if (!parent) return;
  const key = taskKey(taskId(parent.run, parent.key));
  const call = change.get<TaskRecord>(key);
  if (call?.state === "waiting") change.set(key, { ...call, child });
}
