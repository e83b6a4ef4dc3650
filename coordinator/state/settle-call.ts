import { assert } from "#shared/domain/assert.ts";
import type { Failure } from "#shared/domain/errors.ts";
import { partitionOf, runOfTask, type TaskId, taskId, workflowKey } from "#shared/domain/ids.ts";
import { assertTaskMove, isTerminalRun, isTerminalTask, type TaskState } from "#shared/domain/states.ts";
import type { CheckResult, Value } from "#shared/protocol/common.ts";
import { at } from "../engine/move.ts";
import {
  countKey,
  dependentsIndex,
  edgesIndex,
  type JournalRecord,
  type RunRecord,
  resolvingIndex,
  runKey,
  type TaskRecord,
  taskKey,
} from "../records.ts";
import type { Change } from "./change.ts";
import { countInline } from "./inline-budget.ts";
import { queueScore } from "./queues.ts";

export interface Settlement {
  readonly outcome: "succeeded" | "failed" | "cancelled" | "timedOut";
  readonly output?: Value;
  readonly failure?: Failure;
  readonly checks?: readonly CheckResult[];
  /** What arrived, when the journal itself keeps it (signals and events). */
  readonly arrived?: Value;
}

/** Dependents that are told in the settling commit itself; more are told in bounded steps. */
const dependentsInlineMax = 20;

const stateOf: Readonly<Record<Settlement["outcome"], TaskState>> = {
  succeeded: "succeeded",
  failed: "failed",
  cancelled: "cancelled",
  timedOut: "failed",
};

/**
 * Ends a call for good: its record, the journal entry, the counters, its dependents, and the wake-up of a workflow that
 * was parked awaiting it. Exactly once, since it writes the record that it read as not ended.
 */
export function settleCall(change: Change, task: TaskRecord, settlement: Settlement): void {
  const id = taskId(task.run, task.key);
  const state = stateOf[settlement.outcome];
  assertTaskMove(task.state, state);
  const run = change.get<RunRecord>(runKey(task.run));
  assert(run, "a task's run exists");
  const checks = settlement.checks ?? task.checks;
  change.set(taskKey(id), {
    ...task,
    state,
    output: settlement.output ?? null,
    failure: settlement.failure ?? null,
    checks,
    endedAtMs: Math.round(change.view.nowMs),
  });
  change.add(countKey(task.run, state as "succeeded"), 1);
  countInline(change, task.run, settlement.output);
  const warnings = checks.filter((check) => check.result === "warn").length;
  if (warnings > 0) change.add(countKey(task.run, "warnings"), warnings);
  if (!isTerminalRun(run.state)) {
    change.journal(task.run, journalEntry(task, settlement, warnings));
    wakeWorkflow(change, run, task.key);
  }
  tellDependents(change, id, settlement.outcome === "succeeded");
}

function journalEntry(task: TaskRecord, settlement: Settlement, warnings: number): JournalRecord {
  return {
    e: "settled",
    key: task.key,
    outcome: settlement.outcome,
    ...(warnings > 0 ? { warnings } : {}),
    ...(settlement.arrived ? { value: settlement.arrived } : {}),
  };
}

/** Wakes a parked workflow when it awaits `key`; null wakes it whatever it awaits. */
export function wakeWorkflow(change: Change, run: RunRecord, key: string | null): void {
  if (run.parked === null || isTerminalRun(run.state)) return;
  if (key !== null && !run.parked.some((awaited) => awaited === key)) return;
  const id = taskId(run.id, workflowKey);
  const workflow = change.get<TaskRecord>(taskKey(id));
  assert(workflow && workflow.state === "parked", "a parked run has a parked workflow task");
  change.set(runKey(run.id), { ...run, parked: null });
  makeReady(change, workflow);
}

/** Puts a waiting, delayed, parked or lost task into its queue. */
export function makeReady(change: Change, task: TaskRecord): void {
  const id = taskId(task.run, task.key);
  const readyAtMs = Math.round(change.view.nowMs);
  change.set(taskKey(id), { ...task, state: "ready", readyAtMs, returned: false });
  const score = at(queueScore(readyAtMs, task.options.priority ?? 0));
  change.write({ kind: "enqueue", queue: task.queue, member: id, score });
}

/**
 * The dependents index is not read on the usual path: the commit checks that it is empty, and only when that does not
 * hold is the settlement decided again with its rows at hand.
 */
function tellDependents(change: Change, id: TaskId, succeeded: boolean): void {
  const index = dependentsIndex(id);
  if (!change.view.unmet) {
    change.check({ kind: "fewer", index, than: 1 });
    return;
  }
  const rows = change.view.rows(index, dependentsInlineMax + 1);
  if (rows.length === 0) {
    change.check({ kind: "fewer", index, than: 1 });
    return;
  }
  if (!succeeded || rows.length > dependentsInlineMax) {
    change.rank(resolvingIndex(partitionOf(runOfTask(id))), id, at(change.view.nowMs));
    return;
  }
  change.check({ kind: "fewer", index, than: rows.length + 1 });
  for (const row of rows) removeEdge(change, id, row.member as TaskId);
}

/** C4: the edge goes with the settlement; whoever takes the last edge readies the dependent, in a transaction of its own. */
export function removeEdge(change: Change, id: TaskId, dependentId: TaskId): void {
  change.unrank(dependentsIndex(id), dependentId);
  change.unrank(edgesIndex(dependentId), id);
  const dependent = change.get<TaskRecord>(taskKey(dependentId));
  if (!dependent || isTerminalTask(dependent.state) || dependent.state !== "waiting") return;
  const readyAtMs = Math.round(change.view.nowMs);
  const score = at(queueScore(readyAtMs, dependent.options.priority ?? 0));
  change.follow({
    checks: [{ kind: "fewer", index: edgesIndex(dependentId), than: 1 }],
    writes: [
      { kind: "set", key: taskKey(dependentId), value: { ...dependent, state: "ready", readyAtMs } },
      { kind: "enqueue", queue: dependent.queue, member: dependentId, score },
    ],
  });
}

/** Why a task that was given a ref to `given` fails unexecuted. */
export const dependencyFailed = (given: TaskRecord): Failure => ({
  type: "DependencyFailed",
  message: `'${given.key}', whose output was passed on to it, ${given.state === "cancelled" ? "was cancelled" : "failed"}.`,
  retryable: false,
  ...(given.failure ? { cause: given.failure } : {}),
});
