import { assert } from "#shared/domain/assert.ts";
import type { Failure } from "#shared/domain/errors.ts";
import { partitionOf, runOfTask, type TaskId, taskId, workflowKey } from "#shared/domain/ids.ts";
import { assertTaskMove, isTerminalRun, type TaskState } from "#shared/domain/states.ts";
import type { CheckResult, Value } from "#shared/protocol/common.ts";
import { at, type DraftWrite, inMs } from "../engine/move.ts";
import {
  countKey,
  dependentsIndex,
  edgesIndex,
  type JournalRecord,
  type RunRecord,
  resolvingIndex,
  runKey,
  type SlotRecord,
  type TaskRecord,
  taskKey,
  timersIndex,
} from "../records.ts";
import type { Change } from "./change.ts";
import { countInline } from "./inline-budget.ts";
import { classQueue, queueOfAgent, queueScore } from "./queues.ts";
import { askForSlot, freeSlot } from "./slots.ts";
import { timerMember } from "./timers.ts";

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
  const { slot, ...ended } = task;
  if (slot) freeSlot(change, task);
  change.set(taskKey(id), {
    ...ended,
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

/** How long a woken workflow waits for the agent that had it before. */
const forAgentMs = 500;
/** An agent that may be connected to another coordinator is waited for when it had the workflow so lately. */
const agentWithinMs = 10 * 60_000;

/**
 * Puts a waiting, delayed or parked task into its queue, or, under a limit (C17), has it wait for its slot first. C25: a
 * workflow that parked goes first to the agent that had it, which has its binary, its process and its journal, and after
 * `forAgentMs` to any.
 */
export function makeReady(change: Change, task: TaskRecord): void {
  const id = taskId(task.run, task.key);
  const agent = task.state === "parked" ? agentToAsk(change, task) : null;
  const { record, queueing } = readied(task, change.view.nowMs, agent);
  change.set(taskKey(id), record);
  change.write(...queueing);
  if (agent)
    change.rank(timersIndex(partitionOf(task.run)), timerMember({ kind: "agent", task: id }), inMs(forAgentMs));
}

function agentToAsk({ view }: Change, { parkedBy }: TaskRecord): string | null {
  if (!parkedBy) return null;
  const where = view.whereIs(parkedBy.agent);
  const lately = view.nowMs - parkedBy.atMs < agentWithinMs;
  return where === "here" || (where === "unknown" && lately) ? parkedBy.agent : null;
}

/** C17: the slot that the task waited for is its own. For how long it may wait to be leased has been counted since it asked. */
export function takeSlot(change: Change, task: TaskRecord, slot: SlotRecord): void {
  const { record, enqueue } = queued({ ...task, slot: { ...slot, held: true } }, change.view.nowMs, null);
  change.set(taskKey(taskId(task.run, task.key)), record);
  change.write(enqueue);
}

/** A task as it is when it is ready, and what puts it into its queue for as long as it may wait there. */
function readied(
  task: TaskRecord,
  nowMs: number,
  agent: string | null = null,
): { record: TaskRecord; queueing: DraftWrite[] } {
  if (task.options.limit && !task.slot?.held) {
    const { record, asking } = askForSlot(task, nowMs);
    return { record, queueing: [...asking, ...queueTimer(task)] };
  }
  const { record, enqueue } = queued(task, nowMs, agent);
  return { record, queueing: [enqueue, ...queueTimer(task)] };
}

function queued(
  task: TaskRecord,
  nowMs: number,
  agent: string | null,
): { record: TaskRecord; enqueue: Extract<DraftWrite, { kind: "enqueue" }> } {
  const readyAtMs = Math.round(nowMs);
  const queue = agent ? queueOfAgent(task.queue, agent) : classQueue(task.queue);
  // The attempt that parked is the newest until the next is granted: it may still report.
  const record: TaskRecord = { ...task, state: "ready", queue, readyAtMs, returned: task.state === "parked" };
  const score = at(queueScore(readyAtMs, task.options.priority ?? 0));
  const member = taskId(task.run, task.key);
  return { record, enqueue: { kind: "enqueue", queue, member, score } };
}

/** The agent that a task was kept for has not taken it: any other may. */
export function openToAll(change: Change, task: TaskRecord): void {
  const member = taskId(task.run, task.key);
  const queue = classQueue(task.queue);
  if (queue === task.queue) return;
  const score = at(queueScore(task.readyAtMs ?? change.view.nowMs, task.options.priority ?? 0));
  change.set(taskKey(member), { ...task, queue });
  change.write({ kind: "dequeue", queue: task.queue, member }, { kind: "enqueue", queue, member, score });
}

/** Begins the time for which a task may wait in its queue. */
export function queueTimer(task: TaskRecord): DraftWrite[] {
  if (task.options.queueTimeoutMs === undefined) return [];
  const member = timerMember({ kind: "queue", task: taskId(task.run, task.key) });
  const score = inMs(task.options.queueTimeoutMs);
  return [{ kind: "rank", index: timersIndex(partitionOf(task.run)), member, score }];
}

/**
 * The dependents index is not read on the usual path: the commit checks that it is empty, and only when that does not
 * hold is the settlement decided again with its rows at hand. After a failure they are told in steps of their own: each
 * of them fails, and may have dependents in turn.
 */
export function tellDependents(change: Change, id: TaskId, succeeded: boolean): void {
  const index = dependentsIndex(id);
  if (!change.view.unmet) {
    change.check({ kind: "fewer", index, than: 1 });
    return;
  }
  const rows = succeeded ? change.view.rows(index, dependentsInlineMax + 1) : [];
  if (!succeeded || rows.length > dependentsInlineMax) {
    change.rank(resolvingIndex(partitionOf(runOfTask(id))), id, at(change.view.nowMs));
    return;
  }
  change.view.prepare(rows.map((row) => taskKey(row.member as TaskId)));
  change.check({ kind: "fewer", index, than: rows.length + 1 });
  for (const row of rows) removeEdge(change, id, row.member as TaskId);
}

/** C4: the edge goes with the settlement; whoever takes the last edge readies the dependent, in a transaction of its own. */
export function removeEdge(change: Change, id: TaskId, dependentId: TaskId): void {
  change.unrank(dependentsIndex(id), dependentId);
  change.unrank(edgesIndex(dependentId), id);
  const dependent = change.get<TaskRecord>(taskKey(dependentId));
  if (dependent?.state === "waiting") readyUnlessHeld(change, dependent);
}

/** Puts a waiting task into its queue by a transaction of its own, which applies when no edge holds it any more. */
export function readyUnlessHeld(change: Change, task: TaskRecord): void {
  const id = taskId(task.run, task.key);
  const { record, queueing } = readied(task, change.view.nowMs);
  change.follow({
    checks: [{ kind: "fewer", index: edgesIndex(id), than: 1 }],
    writes: [{ kind: "set", key: taskKey(id), value: record }, ...queueing],
  });
}

/** Why a task that was given a ref to `given` fails unexecuted. */
export const dependencyFailed = (given: TaskRecord): Failure => ({
  type: "DependencyFailed",
  message: `'${given.key}', whose output was passed on to it, ${given.state === "cancelled" ? "was cancelled" : "failed"}.`,
  retryable: false,
  ...(given.failure ? { cause: given.failure } : {}),
});
