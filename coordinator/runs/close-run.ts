import { type CallKey, partitionOf, type RunId, taskId, workflowKey } from "#shared/domain/ids.ts";
import { isTerminalRun, isTerminalTask } from "#shared/domain/states.ts";
import { type Engine, type LeaseRecord, leaseKey } from "../engine/engine.ts";
import type { Move, Mover } from "../engine/move.ts";
import {
  calledIn,
  closingIndex,
  countKey,
  journalLog,
  type RunRecord,
  runKey,
  type TaskRecord,
  taskKey,
  timersIndex,
} from "../records.ts";
import { Change } from "../state/change.ts";
import { giveUpWait } from "../state/mailbox.ts";
import { giveUpEvent } from "../state/messages.ts";
import { settleCall } from "../state/settle-call.ts";
import { timerMember } from "../state/timers.ts";
import { isEnding } from "./cancel-run.ts";

export interface CloseDeps {
  readonly engine: Engine;
  readonly mover: Mover;
  /** Asks the agent that holds a lease to end the attempt. */
  readonly stopLease: (lease: { holder: string; task: string; fence: number; reason: string }) => void;
  readonly cancelChild: (run: RunId, reason: string) => Promise<void>;
}

/** Journal entries that one step looks through for open calls. */
const entriesPerStep = 100;

type CancelCall = { readonly run: RunId; readonly key: CallKey };
type CancelOutcome =
  | { readonly kind: "done" }
  | { readonly kind: "leased"; readonly holder: string; readonly fence: number; readonly reason: string }
  | { readonly kind: "child"; readonly run: RunId; readonly reason: string };

/** Cancels one open call. A leased task is marked, so that its next report is its last, and is to be stopped. */
const cancelCall: Move<CancelCall, CancelOutcome> = {
  name: "cancelCall",
  fresh: true,
  reads: ({ run, key }) => [runKey(run), taskKey(taskId(run, key)), leaseKey(partitionOf(run), taskId(run, key))],
  decide(view, { run: runId, key }) {
    const id = taskId(runId, key);
    const run = view.get<RunRecord>(runKey(runId));
    const task = view.get<TaskRecord>(taskKey(id));
    const done = { transactions: [], answer: () => ({ kind: "done" }) as const };
    if (!run || !task || isTerminalTask(task.state) || !isEnding(run) || isSpared(run, task)) return done;
    const reason = run.cancel?.reason ?? "the workflow has ended";
    if (task.child) {
      const child = task.child;
      return { transactions: [], answer: () => ({ kind: "child", run: child, reason }) };
    }
    const change = new Change(view);
    const lease = view.get<LeaseRecord>(leaseKey(partitionOf(runId), id));
    if (lease && lease.holder !== "" && task.state === "ready") {
      const fence = Number(view.stamp(leaseKey(partitionOf(runId), id)));
      change.set(taskKey(id), { ...task, cancelReason: reason });
      return { transactions: change.drafts(), answer: () => ({ kind: "leased", holder: lease.holder, fence, reason }) };
    }
    if (task.state === "ready") change.write({ kind: "dequeue", queue: task.queue, member: id });
    for (const kind of ["delay", "call", "queue"] as const) {
      change.unrank(timersIndex(partitionOf(runId)), timerMember({ kind, task: id }));
    }
    if (task.kind === "signal") giveUpWait(change, task);
    if (task.kind === "event") giveUpEvent(change, task);
    settleCall(change, task, {
      outcome: "cancelled",
      failure: { type: "CancelledError", message: `Cancelled: ${reason}`, retryable: false },
    });
    return { transactions: change.drafts(), answer: () => ({ kind: "done" }) };
  },
};

/** Detached calls outlive their run; shielded ones are how a cancelled run cleans up until it ends. */
const isSpared = (run: RunRecord, task: TaskRecord): boolean =>
  isTerminalRun(run.state) ? task.detached : task.shielded;

interface Closed {
  readonly run: RunId;
  /** The run's state when the pass began: a run that has ended since may have opened calls behind it. */
  readonly state: string;
}

const closed: Move<Closed, "closed" | "again"> = {
  name: "closed",
  reads: ({ run }) => [runKey(run)],
  decide(view, { run: id, state }) {
    const run = view.get<RunRecord>(runKey(id));
    if (run && run.state !== state) return { transactions: [], answer: () => "again" };
    const unrank = { kind: "unrank", index: closingIndex(partitionOf(id)), member: id } as const;
    return { transactions: [{ checks: [], writes: [unrank] }], answer: () => "closed" };
  },
};

/** Cancels what a cancelled or ended run still has open, a bounded number of calls at a time; doing it twice is harmless. */
export async function closeRun(deps: CloseDeps, run: RunId): Promise<void> {
  for (;;) {
    const counts = ["calls", "succeeded", "failed", "cancelled"] as const;
    const { found } = await deps.engine.get([runKey(run), ...counts.map((what) => countKey(run, what))]);
    const [record, calls, ...settled] = found;
    const state = record?.value ? (JSON.parse(record.value) as RunRecord).state : "";
    const open = Number(calls?.value ?? 0) - settled.reduce((sum, { value }) => sum + Number(value ?? 0), 0);
    if (open > 0) await cancelOpenCalls(deps, run);
    await stopEndedWorkflow(deps, run);
    if ((await deps.mover.move(partitionOf(run), closed, { run, state })) === "closed") return;
  }
}

async function cancelOpenCalls(deps: CloseDeps, run: RunId): Promise<void> {
  for (let after = 0; ; ) {
    const entries = await deps.engine.read(journalLog(run), after, entriesPerStep);
    const keys = calledIn(entries);
    const { found } = await deps.engine.get(keys.map((key) => taskKey(taskId(run, key))));
    const open = keys.filter((_, index) => {
      const value = found[index]?.value;
      return value !== null && value !== undefined && !isTerminalTask((JSON.parse(value) as TaskRecord).state);
    });
    await Promise.all(open.map((key) => cancelOne(deps, run, key)));
    if (entries.length < entriesPerStep) return;
    after = entries.at(-1)?.position ?? after;
  }
}

/** A workflow that was ended by force may still be executing. */
async function stopEndedWorkflow(deps: CloseDeps, run: RunId): Promise<void> {
  const id = taskId(run, workflowKey);
  const { found } = await deps.engine.get([runKey(run), leaseKey(partitionOf(run), id)]);
  const [record, lease] = found;
  if (!record?.value || !lease?.value || !isTerminalRun((JSON.parse(record.value) as RunRecord).state)) return;
  const { holder } = JSON.parse(lease.value) as LeaseRecord;
  if (holder !== "") deps.stopLease({ holder, task: id, fence: Number(lease.stamp), reason: "the run has ended" });
}

async function cancelOne(deps: CloseDeps, run: RunId, key: CallKey): Promise<void> {
  const outcome = await deps.mover.move(partitionOf(run), cancelCall, { run, key });
  if (outcome.kind === "leased") {
    deps.stopLease({ holder: outcome.holder, task: taskId(run, key), fence: outcome.fence, reason: outcome.reason });
  } else if (outcome.kind === "child") {
    await deps.cancelChild(outcome.run, outcome.reason);
  }
}
