import { partitionOf, type RunId, sha256, taskId, workflowKey } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { isTerminalRun } from "#shared/domain/states.ts";
import type { Value } from "#shared/protocol/common.ts";
import { type Engine, type Key, keyIn } from "../engine/engine.ts";
import { at, type Move, type Mover } from "../engine/move.ts";
import { type JournalRecord, type RunRecord, runKey, taskKey } from "../records.ts";
import type { SignalOutcome } from "../stages.ts";
import { Change } from "../state/change.ts";
import { readJournal } from "../state/read-journal.ts";
import { wakeWorkflow } from "../state/settle-call.ts";
import { unreadSignals } from "../state/unread-signals.ts";

export interface SignalRun {
  readonly run: RunId;
  readonly name: string;
  readonly id: string;
  readonly value: Value;
  readonly by: string;
}

const signalKey = (run: RunId, id: string): Key => keyIn(partitionOf(run), `signal/${run}/${sha256(id)}`);
const signalsIndex = (run: RunId): Key => keyIn(partitionOf(run), `signals/${run}`);

/** Signals that one move forgets. */
const forgottenPerMove = 200;

/** Makes room for further signals: those that waits have taken no longer count. */
const forgetTaken: Move<{ run: RunId; taken: readonly string[] }, void> = {
  name: "forgetTaken",
  reads: () => [],
  decide: (_view, { run, taken }) => ({
    transactions: [
      { checks: [], writes: taken.map((id) => ({ kind: "unrank", index: signalsIndex(run), member: sha256(id) })) },
    ],
    answer: () => undefined,
  }),
};

/** Signals a run. When its mailbox seems full, what has been taken out of it is counted off, and it is tried again. */
export async function signalRun(deps: { engine: Engine; mover: Mover }, signal: SignalRun): Promise<SignalOutcome> {
  const partition = partitionOf(signal.run);
  const outcome = await deps.mover.move(partition, acceptSignal, signal);
  if (outcome.kind !== "full") return outcome;
  const records = (await readJournal(deps.engine, signal.run)).map(({ value }) => JSON.parse(value) as JournalRecord);
  const unread = new Set(unreadSignals(records).map(({ id }) => id));
  const ids = records.flatMap((record) => (record.e === "signal" ? [record.id] : []));
  const taken = ids.filter((id) => !unread.has(id)).slice(-limits.signalsBufferedMax);
  for (let start = 0; start < taken.length; start += forgottenPerMove) {
    const some = taken.slice(start, start + forgottenPerMove);
    await deps.mover.move(partition, forgetTaken, { run: signal.run, taken: some });
  }
  return deps.mover.move(partition, acceptSignal, signal);
}

/**
 * C24: a signal is journaled on arrival under its sender's id, whether or not the workflow waits for it yet; the same
 * id again is the same signal. A run holds `limits.signalsBufferedMax` that no wait has taken.
 */
const acceptSignal: Move<SignalRun, SignalOutcome> = {
  name: "acceptSignal",
  reads: ({ run, id }) => [runKey(run), signalKey(run, id), taskKey(taskId(run, workflowKey))],
  decide(view, { run: runId, name, id, value, by }) {
    const run = view.get<RunRecord>(runKey(runId));
    if (!run) return { transactions: [], answer: () => ({ kind: "unknown" }) };
    if (view.get(signalKey(runId, id))) return { transactions: [], answer: () => ({ kind: "done" }) };
    if (isTerminalRun(run.state)) return { transactions: [], answer: () => ({ kind: "ended" }) };
    if (view.unmet) return { transactions: [], answer: () => ({ kind: "full" }) };
    const change = new Change(view);
    change.check({ kind: "fewer", index: signalsIndex(runId), than: limits.signalsBufferedMax });
    change.set(signalKey(runId, id), { name });
    change.rank(signalsIndex(runId), sha256(id), at(view.nowMs));
    change.journal(runId, { e: "signal", id, name, value, by });
    wakeWorkflow(change, run, null);
    return { transactions: change.drafts(), answer: () => ({ kind: "done" }) };
  },
};
