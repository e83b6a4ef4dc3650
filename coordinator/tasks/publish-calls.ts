import type { Failure } from "#shared/domain/errors.ts";
import { partitionOf, type RunId, type TaskId, taskId, workflowKey } from "#shared/domain/ids.ts";
import { isTerminalRun, isTerminalTask } from "#shared/domain/states.ts";
import type { Call } from "#shared/protocol/common.ts";
import { leaseKey } from "../engine/engine.ts";
import { at, type Decision, inMs, type Move, type View } from "../engine/move.ts";
import {
  countKey,
  dependentsIndex,
  edgesIndex,
  type RefList,
  type RunRecord,
  runKey,
  type TaskRecord,
  taskKey,
  timersIndex,
} from "../records.ts";
import { Change } from "../state/change.ts";
import { countInline } from "../state/inline-budget.ts";
import { beginLinking } from "../state/links.ts";
import { beginWait } from "../state/mailbox.ts";
import { type Message, sendMessage } from "../state/messages.ts";
import { type NewRun, newTask, writeNewRun } from "../state/new-run.ts";
import { dependencyFailed, makeReady, settleCall } from "../state/settle-call.ts";
import { timerMember } from "../state/timers.ts";
import { epochOf, isVoid } from "../state/void-leases.ts";

/** What a call's name means, looked up in the registry before the move: release, queue and options, or why there is none. */
export type Resolved =
  | {
      readonly kind: "task";
      readonly project: string;
      readonly release: string;
      readonly name: string;
      readonly queue: string;
      readonly options: TaskRecord["options"];
    }
  | { readonly kind: "child"; readonly run: ChildRun }
  | { readonly kind: "local" }
  | { readonly kind: "unknown"; readonly failure: Failure };

type ChildRun = Omit<NewRun, "parent" | "trigger" | "refs" | "manyRefs" | "refsRun" | "waits">;

export interface PublishCalls {
  /** The run's workflow task and the fence of its lease. */
  readonly task: TaskId;
  readonly fence: number;
  readonly run: RunId;
  readonly calls: readonly { readonly call: Call; readonly resolved: Resolved }[];
}

export type PublishOutcome =
  | { readonly kind: "published" }
  /** The lease moved on, or the run has ended: the attempt is to end. */
  | { readonly kind: "stale" }
  /** A call contradicts the journal; nothing of the move was published. */
  | { readonly kind: "contradiction"; readonly failure: Failure };

/** Calls that one move publishes, and records that it reads for them: itself and its refs for each call. */
const callsPerMoveMax = 16;
const readsPerMoveMax = 280;

/** Calls in their order, in groups that one move each can publish. */
export function groupCalls(calls: PublishCalls["calls"]): PublishCalls["calls"][] {
  const groups: PublishCalls["calls"][number][][] = [];
  let reads = Number.POSITIVE_INFINITY;
  for (const one of calls) {
    const weight = 1 + ("refs" in one.call ? (one.call.refs?.length ?? 0) : 0);
    const group = groups.at(-1);
    if (group && group.length < callsPerMoveMax && reads + weight <= readsPerMoveMax) {
      group.push(one);
      reads += weight;
    } else {
      groups.push([one]);
      reads = weight;
    }
  }
  return groups;
}

/**
 * Groups that can be published at the same time, which may take effect in any order; each such set after the one before
 * it. A call that refers to others comes after them (many refs may be to any before it), and waits for signals come in
 * their order, for each takes the next.
 */
export function inOrder(groups: readonly PublishCalls["calls"][]): PublishCalls["calls"][][] {
  const sets: PublishCalls["calls"][][] = [];
  const keys = new Set<string>();
  for (const group of groups) {
    const refs = group.flatMap(({ call }) => ("refs" in call ? (call.refs ?? []) : []));
    const waits = group.some(({ call }) => call.kind === "signal" || manyRefsOf(call));
    const set = sets.at(-1);
    if (!set || waits || refs.some((ref) => keys.has(ref))) {
      sets.push([group]);
      keys.clear();
    } else set.push(group);
    for (const { call } of group) keys.add(call.key);
  }
  return sets;
}

/**
 * Journals calls of a workflow and publishes their tasks. The same call again (run, key, digest) changes nothing.
 */
export const publishCalls: Move<PublishCalls, PublishOutcome> = {
  name: "publishCalls",
  // Ten thousand calls of a fan-out must not keep the first of them from being settled.
  bulk: true,
  reads: ({ task, run, calls }) => [
    runKey(run),
    leaseKey(partitionOf(run), task),
    epochOf(task),
    ...calls.map(({ call }) => taskKey(taskId(run, call.key))),
    ...calls.flatMap(({ call }) => ("refs" in call ? (call.refs ?? []) : []).map((ref) => taskKey(taskId(run, ref)))),
  ],
  news: ({ run, calls }) => calls.map(({ call }) => taskKey(taskId(run, call.key))),
  decide(view, input) {
    const run = view.get<RunRecord>(runKey(input.run));
    const fence = view.stamp(leaseKey(partitionOf(input.run), input.task));
    const isOld = fence !== String(input.fence) || isVoid(view, input);
    if (!run || isTerminalRun(run.state) || isOld) return unwritten({ kind: "stale" });
    const change = new Change(view);
    let published = 0;
    for (const { call, resolved } of input.calls) {
      const known = change.get<TaskRecord>(taskKey(taskId(run.id, call.key)));
      if (known) {
        if (known.digest === call.digest && sameKind(known, call)) continue;
        return unwritten({ kind: "contradiction", failure: contradiction(known, call) });
      }
      publishCall(change, run, call, resolved);
      published += 1;
    }
    if (published === 0) return unwritten({ kind: "published" });
    change.add(countKey(run.id, "calls"), published);
    countInline(change, run.id, ...input.calls.map(({ call }) => ("input" in call ? call.input : undefined)));
    return { transactions: change.drafts(), answer: () => ({ kind: "published" }) };
  },
};

const unwritten = (outcome: PublishOutcome): Decision<PublishOutcome> => ({ transactions: [], answer: () => outcome });

const recordKind = (call: Call): TaskRecord["kind"] => (call.kind === "workflow" ? "child" : call.kind);
const sameKind = (known: TaskRecord, call: Call): boolean => known.kind === recordKind(call);
const nameOf = (call: Call): string => ("name" in call ? call.name : "sleep");

function contradiction(known: TaskRecord, call: Call): Failure {
  return {
    type: "NonDeterministicWorkflow",
    message: `Call '${call.key}' was journaled as ${known.kind} '${known.name}' and is now made as ${recordKind(call)} '${nameOf(call)}'${known.digest === call.digest ? "" : " with other arguments"}.`,
    retryable: false,
    details: {
      key: call.key,
      journaled: { kind: known.kind, name: known.name, digest: known.digest },
      made: { kind: recordKind(call), name: nameOf(call), digest: call.digest },
    },
  };
}

function publishCall(change: Change, run: RunRecord, call: Call, resolved: Resolved): void {
  const timeoutMs = "timeoutMs" in call ? call.timeoutMs : undefined;
  const refs = "refs" in call && call.refs && call.refs.length > 0 ? call.refs : undefined;
  const manyRefs = manyRefsOf(call);
  change.journal(run.id, {
    e: "called",
    key: call.key,
    kind: call.kind,
    name: nameOf(call),
    digest: call.digest,
    ...(refs ? { refs } : {}),
    ...(manyRefs ? { manyRefs: manyRefs.blob } : {}),
    ...(resolved.kind === "task" && resolved.project !== run.project ? { release: resolved.release } : {}),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });
  const task = recordOf(change.view, run, call, resolved);
  change.set(taskKey(taskId(run.id, call.key)), task);
  if (resolved.kind === "unknown") settleCall(change, task, { outcome: "failed", failure: resolved.failure });
  else if (run.state === "cancelling" && !call.shielded)
    settleCall(change, task, { outcome: "cancelled", failure: cancelled(run) });
  else if (call.kind === "task" || call.kind === "workflow") begin(change, task, resolved, refs ?? []);
  else wait(change, task, call);
}

const cancelled = (run: RunRecord): Failure => ({
  type: "CancelledError",
  message: `The run was cancelled: ${run.cancel?.reason ?? "no reason given"}`,
  retryable: false,
});

function recordOf(view: View, run: RunRecord, call: Call, resolved: Resolved): TaskRecord {
  const target =
    resolved.kind === "task"
      ? resolved
      : { project: run.project, release: run.release, name: nameOf(call), queue: "", options: {} };
  const manyRefs = manyRefsOf(call);
  return newTask(
    {
      run: run.id,
      key: call.key,
      kind: recordKind(call),
      project: target.project,
      release: target.release,
      name: target.name,
      queue: target.queue,
      options: target.options,
      state: "waiting",
      digest: call.digest,
      input: "input" in call ? call.input : { json: "null" },
      refs: "refs" in call ? (call.refs ?? []) : [],
      ...(manyRefs ? { manyRefs } : {}),
      detached: "detached" in call && call.detached === true,
      shielded: call.shielded === true,
      child: resolved.kind === "child" ? resolved.run.id : null,
    },
    view.nowMs,
  );
}

/** Puts a task into its queue, or holds it until the refs it was given have settled. */
function begin(change: Change, task: TaskRecord, resolved: Resolved, refs: readonly string[]): void {
  const id = taskId(task.run, task.key);
  const open: TaskId[] = [];
  for (const ref of refs) {
    const refId = taskId(task.run, ref as typeof task.key);
    const given = change.get<TaskRecord>(taskKey(refId));
    if (given && !isTerminalTask(given.state)) open.push(refId);
    else if (given?.state !== "succeeded") {
      settleCall(change, task, { outcome: "failed", failure: given ? dependencyFailed(given) : unknownRef(ref) });
      return;
    }
  }
  const waiting = resolved.kind === "child" ? taskId(resolved.run.id, workflowKey) : id;
  for (const refId of open) {
    change.rank(edgesIndex(waiting), refId, at(0));
    change.rank(dependentsIndex(refId), waiting, at(0));
  }
  if (task.manyRefs) beginLinking(change, waiting, { list: task.manyRefs, run: task.run });
  const waits = open.length > 0 || task.manyRefs !== undefined;
  if (resolved.kind === "child") openChild(change, task, resolved.run, waits);
  else if (!waits) makeReady(change, task);
}

/** Many refs are stored as a blob before they come here. */
function manyRefsOf(call: Call): RefList | undefined {
  return "manyRefs" in call && call.manyRefs && "blob" in call.manyRefs ? call.manyRefs : undefined;
}

/** A child's workflow task itself waits for refs within its input: they are calls of the parent. */
function openChild(change: Change, task: TaskRecord, run: ChildRun, waits: boolean): void {
  const trigger = { kind: "workflow", name: null, by: task.run };
  const { refs, manyRefs } = task;
  const given = { refs, ...(manyRefs ? { manyRefs } : {}), refsRun: task.run };
  writeNewRun(change, { ...run, parent: { run: task.run, key: task.key }, trigger, ...given, waits });
}

/** A call that no agent executes: its timer, and for an event the subscription. */
function wait(change: Change, task: TaskRecord, call: Call): void {
  const id = taskId(task.run, task.key);
  if (call.kind === "event") {
    const message: Message = {
      kind: "subscribe",
      project: task.project,
      name: call.name,
      task: id,
      match: call.match ?? {},
      sinceMs: Math.round(change.view.nowMs),
    };
    sendMessage(change, partitionOf(task.run), `subscribe/${id}`, message);
  }
  const member = timerMember({ kind: "call", task: id });
  const index = timersIndex(partitionOf(task.run));
  if (call.kind === "sleep") {
    change.rank(index, member, call.untilMs === undefined ? inMs(call.forMs ?? 0) : at(call.untilMs));
  } else if ("timeoutMs" in call && call.timeoutMs !== undefined) {
    change.rank(index, member, inMs(call.timeoutMs));
  }
  if (call.kind === "signal") beginWait(change, task);
}

const unknownRef = (ref: string): Failure => ({
  type: "InvalidInput",
  message: `The input refers to call '${ref}', which this run has not made.`,
  retryable: false,
});
