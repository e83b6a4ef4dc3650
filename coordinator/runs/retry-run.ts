import { SaltError } from "#shared/domain/errors.ts";
import { newRunId, partitionOf, type RunId, taskId, workflowKey } from "#shared/domain/ids.ts";
import type { Clock, Random } from "#shared/ports.ts";
import type { Engine, LogEntry } from "../engine/engine.ts";
import { inMs, type Move, type Mover } from "../engine/move.ts";
import {
  countKey,
  type JournalRecord,
  journalLog,
  type RunRecord,
  runKey,
  type TaskRecord,
  taskKey,
  timersIndex,
} from "../records.ts";
import { Change } from "../state/change.ts";
import { keepUnread } from "../state/mailbox.ts";
import { writeNewRun } from "../state/new-run.ts";
import { readJournal } from "../state/read-journal.ts";
import { makeReady } from "../state/settle-call.ts";
import { timerMember } from "../state/timers.ts";
import { readMailboxes, unreadSignals } from "../state/unread-signals.ts";

export interface RetryDeps {
  readonly engine: Engine;
  readonly mover: Mover;
  readonly clock: Clock;
  readonly random: Random;
}

/** Journal entries that one move copies. */
const entriesPerMove = 12;
/** A copy that is not finished by then (its coordinator stopped) fails, rather than wait for ever. */
const copyWithinMs = 60_000;

/**
 * Opens a new run that has the journal of a failed or cancelled one up to what ended it: calls that had succeeded by
 * then keep their outputs and are not executed again; the failed one, and what was open, are.
 */
export async function retryRun(deps: RetryDeps, request: { run: RunId; by: string }): Promise<RunId | null> {
  const partition = partitionOf(request.run);
  const { found } = await deps.engine.get([runKey(request.run), taskKey(taskId(request.run, workflowKey))]);
  const [runFound, taskFound] = found;
  if (!runFound?.value || !taskFound?.value) return null;
  const run = JSON.parse(runFound.value) as RunRecord;
  const workflow = JSON.parse(taskFound.value) as TaskRecord;
  if (run.state !== "failed" && run.state !== "cancelled") {
    throw new SaltError(
      "Conflict",
      `Cannot retry run ${run.id}: it is ${run.state}, and only a failed or cancelled run is retried.`,
      {
        next: `salt runs get ${run.id}`,
      },
    );
  }
  const id = newRunId(partition, deps.clock, deps.random);
  const kept = cut(await readJournal(deps.engine, run.id), run);
  const unread = unreadSignals(kept).map((signal) => signal.id);
  const open = await deps.mover.move(partition, openCopy, { id, run, workflow, by: request.by });
  if (open === null) return null;
  for (let start = 0; start < kept.length; start += entriesPerMove) {
    const entries = kept.slice(start, start + entriesPerMove);
    const tasks = await readCalls(deps.engine, run.id, entries);
    await deps.mover.move(partition, copyEntries, { id: open, start, entries, tasks, unread });
  }
  await deps.mover.move(partition, startCopy, { id, runTimeoutMs: run.runTimeoutMs });
  return id;
}

/**
 * What the copy keeps: what came before the failed settlement that ended the run (or before its cancel), without the
 * calls that were open then. The workflow makes those again, and they are new to the new run.
 */
function cut(journal: readonly LogEntry[], run: RunRecord): JournalRecord[] {
  const records = journal.map(({ value }) => JSON.parse(value) as JournalRecord);
  const last = records.findLastIndex((record) =>
    run.cancel ? record.e === "cancel" : record.e === "settled" && record.outcome === "failed",
  );
  const before = records.slice(0, last < 0 ? records.length : last);
  const { over } = readMailboxes(before);
  const ended = new Set([...over, ...before.flatMap((record) => (record.e === "settled" ? [record.key] : []))]);
  return before.filter(
    (record) => record.e === "settled" || record.e === "signal" || (record.e === "called" && ended.has(record.key)),
  );
}

async function readCalls(engine: Engine, run: RunId, entries: readonly JournalRecord[]): Promise<TaskRecord[]> {
  const keys = entries.flatMap((record) => (record.e === "called" ? [record.key] : []));
  const { found } = await engine.get(keys.map((key) => taskKey(taskId(run, key))));
  return found.flatMap(({ value }) => (value === null ? [] : [JSON.parse(value) as TaskRecord]));
}

type OpenCopy = { readonly id: RunId; readonly run: RunRecord; readonly workflow: TaskRecord; readonly by: string };

const openCopy: Move<OpenCopy, RunId | null> = {
  name: "openCopy",
  reads: ({ id, run }) => [runKey(id), runKey(run.id)],
  decide(view, { id, run, workflow, by }) {
    if (view.get(runKey(id))) return { transactions: [], answer: () => id };
    // Its time was over, and its removal has begun: nothing of it is to be relied on.
    if (!view.get(runKey(run.id))) return { transactions: [], answer: () => null };
    const change = new Change(view);
    writeNewRun(change, {
      id,
      project: run.project,
      release: run.release,
      workflow: run.workflow,
      queue: workflow.queue,
      options: workflow.options,
      input: run.input,
      seed: run.seed,
      trigger: { kind: "retry", name: null, by },
      parent: null,
      previous: run.id,
      priority: run.priority,
      identityDigest: null,
      runTimeoutMs: copyWithinMs,
      refs: workflow.refs,
      ...(workflow.manyRefs ? { manyRefs: workflow.manyRefs } : {}),
      ...(workflow.refsRun ? { refsRun: workflow.refsRun } : {}),
      waits: true,
    });
    change.set(runKey(run.id), { ...run, next: id });
    return { transactions: change.drafts(), answer: () => id };
  },
};

interface CopyEntries {
  readonly id: RunId;
  readonly start: number;
  readonly entries: readonly JournalRecord[];
  readonly tasks: readonly TaskRecord[];
  /** Ids of the signals that no wait has taken. */
  readonly unread: readonly string[];
}

const copyEntries: Move<CopyEntries, void> = {
  name: "copyEntries",
  reads: ({ id, tasks }) => [runKey(id), ...tasks.map(({ key }) => taskKey(taskId(id, key)))],
  decide(view, { id, start, entries, tasks, unread }) {
    const change = new Change(view);
    // The first entry of a journal says that the run was opened.
    change.check({ kind: "end", log: journalLog(id), position: start + 1 });
    if (view.unmet) return { transactions: [], answer: () => undefined };
    for (const entry of entries) {
      change.journal(id, entry);
      if (entry.e === "signal" && unread.includes(entry.id)) keepUnread(change, id, entry);
    }
    for (const task of tasks) {
      change.set(taskKey(taskId(id, task.key)), { ...task, run: id });
      change.add(countKey(id, task.state as "succeeded"), 1);
    }
    change.add(countKey(id, "calls"), tasks.length);
    const warnings = tasks.flatMap(({ checks }) => checks).filter(({ result }) => result === "warn").length;
    if (warnings > 0) change.add(countKey(id, "warnings"), warnings);
    return { transactions: change.drafts(), answer: () => undefined };
  },
};

/** The copy is whole: its workflow begins, under the time-out of the run that it was made from. */
const startCopy: Move<{ id: RunId; runTimeoutMs: number | null }, void> = {
  name: "startCopy",
  reads: ({ id }) => [runKey(id), taskKey(taskId(id, workflowKey))],
  decide(view, { id, runTimeoutMs }) {
    const run = view.get<RunRecord>(runKey(id));
    const task = view.get<TaskRecord>(taskKey(taskId(id, workflowKey)));
    if (!run || task?.state !== "waiting") return { transactions: [], answer: () => undefined };
    const change = new Change(view);
    change.set(runKey(id), { ...run, runTimeoutMs });
    makeReady(change, task);
    const timer = timerMember({ kind: "run", run: id });
    change.unrank(timersIndex(partitionOf(id)), timer);
    if (runTimeoutMs !== null) change.rank(timersIndex(partitionOf(id)), timer, inMs(runTimeoutMs));
    return { transactions: change.drafts(), answer: () => undefined };
  },
};
