import { partitionOf, type RunId, type Sha256, taskId, workflowKey } from "#shared/domain/ids.ts";
import type { Engine, LogEntry } from "../engine/engine.ts";
import { type DraftWrite, type Move, type Mover, writing } from "../engine/move.ts";
import { calledIn, closingIndex, countKey, type JournalRecord, journalLog, timersIndex } from "../records.ts";
import { letGo, ownedIndex } from "../state/blob-refs.ts";
import { inlineKey } from "../state/inline-budget.ts";
import { neededByIndex, type RemovalRecord, removalKey, removingIndex, usersIndex } from "../state/kept-records.ts";
import { runOutputLog } from "../state/log-records.ts";
import { mailboxIndex, signalKey, unreadIndex, waitingIndex } from "../state/mailbox.ts";
import { timerMember } from "../state/timers.ts";
import { deleted, emptyIndex, perStepMax, type Removal, removeTask, shortenLog } from "./remove-task.ts";

/**
 * Removes what is left of a marked run, step by step.
 *
 * R1  What a step removes is found by what is still there: the journal's first entries say which calls are next, and go
 *     with them; so a step needs nothing that an earlier one has removed, and after a crash the next begins where the
 *     last one that applied ended.
 * R2  A step checks that it is the next. Of several coordinators that made the same step, one applies it.
 * R3  The mark goes last, with the counters: until then no run is opened under the id.
 */
export interface RemoveRunDeps {
  readonly engine: Engine;
  readonly mover: Mover;
}

/** Steps of one run that one tick does; the next goes on. */
export const removalStepsPerTickMax = 200;
/** Calls that one step removes: each takes some twenty writes. */
const callsPerStepMax = 10;
const entriesPerStepMax = 100;

interface Step {
  readonly writes: readonly DraftWrite[];
  readonly last: boolean;
}

/** Resolves when the run is gone, or has had its steps. */
export async function removeRun(deps: RemoveRunDeps, run: RunId): Promise<void> {
  for (let steps = 0; steps < removalStepsPerTickMax; steps += 1) {
    const { found } = await deps.engine.get([removalKey(run)]);
    const removal = JSON.parse(found[0]?.value ?? "null") as RemovalRecord | null;
    const step: Step = removal ? await nextStep(deps.engine, run, removal) : { writes: [unmarked(run)], last: true };
    await deps.mover.move(partitionOf(run), removeStep, { run, at: removal?.steps ?? null, step });
    if (step.last) return;
  }
}

interface RemoveStep {
  readonly run: RunId;
  /** Steps that were done when this one was made; null when there is no mark. */
  readonly at: number | null;
  readonly step: Step;
}

const removeStep: Move<RemoveStep, void> = {
  name: "removeStep",
  fresh: true,
  bulk: true,
  frees: true,
  reads: ({ run }) => [removalKey(run)],
  decide(view, { run, at, step }) {
    const key = removalKey(run);
    const removal = view.get<RemovalRecord>(key);
    if ((removal?.steps ?? null) !== at) return { transactions: [], answer: () => undefined };
    const mark: DraftWrite = step.last
      ? deleted(key)
      : { kind: "set", key, value: { ...removal, steps: (at ?? 0) + 1 } };
    return writing(...step.writes, mark);
  },
};

const unmarked = (run: RunId): DraftWrite => ({ kind: "unrank", index: removingIndex(partitionOf(run)), member: run });

async function nextStep(engine: Engine, run: RunId, removal: RemovalRecord): Promise<Step> {
  const entries = await engine.read(journalLog(run), 0, entriesPerStepMax);
  if (entries.length > 0) return { writes: await removeEntries(engine, run, entries), last: false };
  const parts = [
    await removeTask(engine, taskId(run, workflowKey)),
    await shortenLog(engine, runOutputLog(run)),
    await emptyIndex(engine, mailboxIndex(run)),
    await letBlobsGo(engine, run),
  ];
  const writes = parts.flatMap((part) => part.writes);
  if (!parts.every(({ whole }) => whole)) return { writes, last: false };
  return { writes: [...writes, ...lastWrites(run, removal)], last: true };
}

/** The first entries of the journal with what they tell of: as many as a step takes. */
async function removeEntries(engine: Engine, run: RunId, entries: readonly LogEntry[]): Promise<DraftWrite[]> {
  const log = journalLog(run);
  const some = upToCalls(entries, callsPerStepMax);
  const removals = await Promise.all(
    some.map(({ value }) => removeEntry(engine, run, JSON.parse(value) as JournalRecord)),
  );
  const writes: DraftWrite[] = [];
  let through = 0;
  for (const [index, removal] of removals.entries()) {
    if (writes.length > perStepMax) break;
    writes.push(...removal.writes);
    // The rest of it is for the next step, which begins with this entry.
    if (!removal.whole) return [...writes, { kind: "trim", log, through }];
    through = some[index]?.position ?? through;
  }
  const isAll = entries.length < entriesPerStepMax && entries.at(-1)?.position === through;
  return [...writes, isAll ? deleted(log) : { kind: "trim", log, through }];
}

/** The first entries, with so many calls among them. */
function upToCalls(entries: readonly LogEntry[], max: number): readonly LogEntry[] {
  let calls = 0;
  const end = entries.findIndex((entry) => {
    calls += calledIn([entry]).length;
    return calls > max;
  });
  return end < 0 ? entries : entries.slice(0, end);
}

async function removeEntry(engine: Engine, run: RunId, record: JournalRecord): Promise<Removal> {
  if (record.e === "called") {
    const task = await removeTask(engine, taskId(run, record.key));
    const waiting = record.kind === "signal" ? await emptyIndex(engine, waitingIndex(run, record.name)) : nothing;
    const index = record.release === undefined ? null : usersIndex(partitionOf(run), record.release);
    const used: DraftWrite[] = index ? [{ kind: "unrank", index, member: run }] : [];
    return { writes: [...task.writes, ...waiting.writes, ...used], whole: task.whole && waiting.whole };
  }
  if (record.e !== "signal") return nothing;
  const unread = await emptyIndex(engine, unreadIndex(run, record.name));
  return { writes: [...unread.writes, deleted(signalKey(run, record.id))], whole: unread.whole };
}

const nothing: Removal = { writes: [], whole: true };

/** The run needs its blobs no more: once nobody else does either, they are deleted in their time. */
async function letBlobsGo(engine: Engine, run: RunId): Promise<Removal> {
  const { writes, whole } = await emptyIndex(engine, ownedIndex(partitionOf(run), run));
  const digests = writes.flatMap((write) => (write.kind === "unrank" ? [write.member as Sha256] : []));
  return { writes: [...writes, ...letGo(partitionOf(run), run, digests)], whole };
}

const counted = ["calls", "succeeded", "failed", "cancelled", "warnings"] as const;

function lastWrites(run: RunId, { release, refsRun }: RemovalRecord): DraftWrite[] {
  const partition = partitionOf(run);
  const timers = (["run", "grace"] as const).map((kind) => timerMember({ kind, run }));
  return [
    ...[...counted.map((what) => countKey(run, what)), inlineKey(run)].map(deleted),
    ...timers.map((member): DraftWrite => ({ kind: "unrank", index: timersIndex(partition), member })),
    { kind: "unrank", index: closingIndex(partition), member: run },
    { kind: "unrank", index: usersIndex(partition, release), member: run },
    ...(refsRun ? [{ kind: "unrank", index: neededByIndex(refsRun), member: run } as const] : []),
    unmarked(run),
  ];
}
