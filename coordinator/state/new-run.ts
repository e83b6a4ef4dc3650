import type { Failure } from "#shared/domain/errors.ts";
import { type CallKey, partitionOf, type RunId, taskId, workflowKey } from "#shared/domain/ids.ts";
import { assertRunMove } from "#shared/domain/states.ts";
import type { TaskOptions, Value } from "#shared/protocol/common.ts";
import { at, inMs } from "../engine/move.ts";
import {
  closingIndex,
  type RefList,
  type RunRecord,
  runKey,
  runsIndex,
  type TaskRecord,
  taskKey,
  timersIndex,
} from "../records.ts";
import type { Change } from "./change.ts";
import { endedIndex, neededByIndex, usersIndex } from "./kept-records.ts";
import { classQueue, queueScore } from "./queues.ts";
import { settleCall } from "./settle-call.ts";
import { timerMember } from "./timers.ts";

export interface NewRun {
  readonly id: RunId;
  readonly project: string;
  readonly release: string;
  readonly workflow: string;
  readonly queue: string;
  readonly options: TaskOptions;
  readonly input: Value;
  readonly seed: string;
  readonly trigger: RunRecord["trigger"];
  readonly parent: RunRecord["parent"];
  readonly previous: RunId | null;
  readonly priority: number;
  readonly identityDigest: string | null;
  readonly runTimeoutMs: number | null;
  /** Calls of the parent that the input refers to, and whether one of them is still open. */
  readonly refs: TaskRecord["refs"];
  readonly manyRefs?: RefList;
  readonly refsRun?: RunId;
  readonly waits: boolean;
}

/** A task record with nothing in it but what every call has. */
export function newTask(
  head: Pick<TaskRecord, "run" | "key" | "kind" | "project" | "release" | "name" | "state" | "digest" | "input"> &
    Partial<TaskRecord>,
  nowMs: number,
): TaskRecord {
  return {
    refs: [],
    options: {},
    queue: "",
    createdAtMs: Math.round(nowMs),
    readyAtMs: head.state === "ready" ? Math.round(nowMs) : null,
    endedAtMs: null,
    attempts: [],
    attemptsEnded: 0,
    output: null,
    failure: null,
    checks: [],
    detached: false,
    shielded: false,
    cancelReason: null,
    child: null,
    returned: false,
    losses: 0,
    crashedAt: 0,
    ...head,
  };
}

/** Writes a run, its workflow task in the queue, and the first entry of its journal. */
export function writeNewRun(change: Change, run: NewRun): void {
  const nowMs = Math.round(change.view.nowMs);
  const partition = partitionOf(run.id);
  const record: RunRecord = {
    id: run.id,
    project: run.project,
    release: run.release,
    workflow: run.workflow,
    state: "open",
    parked: null,
    input: run.input,
    seed: run.seed,
    trigger: run.trigger,
    createdAtMs: nowMs,
    endedAtMs: null,
    output: null,
    failure: null,
    parent: run.parent,
    cancel: null,
    next: null,
    previous: run.previous,
    priority: run.priority,
    identityDigest: run.identityDigest,
    runTimeoutMs: run.runTimeoutMs,
  };
  const id = taskId(run.id, workflowKey);
  // Of a run that goes on from another it may be that of the agent that had the other.
  const queue = classQueue(run.queue);
  const workflow = newTask(
    {
      run: run.id,
      key: workflowKey,
      kind: "workflow",
      project: run.project,
      release: run.release,
      name: run.workflow,
      state: run.waits ? "waiting" : "ready",
      digest: "",
      input: run.input,
      refs: run.refs,
      ...(run.manyRefs ? { manyRefs: run.manyRefs } : {}),
      ...(run.refsRun ? { refsRun: run.refsRun } : {}),
      options: { ...run.options, priority: run.priority },
      queue,
    },
    nowMs,
  );
  change.set(runKey(run.id), record);
  change.set(taskKey(id), workflow);
  change.journal(run.id, { e: "opened", workflow: run.workflow, release: run.release, by: run.trigger.by });
  change.rank(runsIndex(partition), run.id, at(nowMs), `${run.project}/${run.workflow}`);
  change.rank(usersIndex(partition, run.release), run.id, at(0));
  if (run.refsRun && (run.refs.length > 0 || run.manyRefs)) change.rank(neededByIndex(run.refsRun), run.id, at(0));
  if (!run.waits) {
    change.write({ kind: "enqueue", queue, member: id, score: at(queueScore(nowMs, run.priority)) });
  }
  if (run.runTimeoutMs !== null) {
    change.rank(timersIndex(partition), timerMember({ kind: "run", run: run.id }), inMs(run.runTimeoutMs));
  }
}

export interface RunEnd {
  readonly state: "succeeded" | "failed" | "cancelled" | "restarted";
  readonly output?: Value;
  readonly failure?: Failure;
  readonly next?: RunId;
}

/**
 * Ends a run: its record, the journal's last entry, the call of the parent that waits for it. What it still has open is
 * cancelled afterwards, in bounded steps.
 */
export function endRun(change: Change, run: RunRecord, end: RunEnd): void {
  assertRunMove(run.state, end.state);
  const nowMs = Math.round(change.view.nowMs);
  const partition = partitionOf(run.id);
  const parent = run.parent;
  // A restarted run's successor answers the parent in its place.
  if (parent && end.state !== "restarted") settleParent(change, parent, end);
  change.set(runKey(run.id), {
    ...run,
    state: end.state,
    parked: null,
    endedAtMs: nowMs,
    output: end.output ?? null,
    failure: end.failure ?? null,
    next: end.next ?? null,
  });
  change.journal(run.id, { e: "ended", state: end.state, ...(end.failure ? { failure: end.failure } : {}) });
  change.unrank(timersIndex(partition), timerMember({ kind: "run", run: run.id }));
  change.unrank(timersIndex(partition), timerMember({ kind: "grace", run: run.id }));
  change.rank(closingIndex(partition), run.id, at(nowMs));
  change.rank(endedIndex(partition), run.id, at(nowMs));
}

function settleParent(change: Change, parent: { run: RunId; key: CallKey }, end: RunEnd): void {
  const call = change.get<TaskRecord>(taskKey(taskId(parent.run, parent.key)));
  if (call?.state !== "waiting") return;
  const outcome = end.state === "restarted" ? "succeeded" : end.state;
  settleCall(change, call, {
    outcome,
    ...(end.output ? { output: end.output } : {}),
    ...(end.failure ? { failure: end.failure } : {}),
  });
}
