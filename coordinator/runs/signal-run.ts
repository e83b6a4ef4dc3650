import { type RunId, taskId, workflowKey } from "#shared/domain/ids.ts";
import { isTerminalRun } from "#shared/domain/states.ts";
import type { Value } from "#shared/protocol/common.ts";
import type { Move } from "../engine/move.ts";
import { type RunRecord, runKey, taskKey } from "../records.ts";
import type { SignalOutcome } from "../stages.ts";
import { Change } from "../state/change.ts";
import { signalKey, takeIn } from "../state/mailbox.ts";
import { wakeWorkflow } from "../state/settle-call.ts";

export interface SignalRun {
  readonly run: RunId;
  readonly name: string;
  readonly id: string;
  readonly value: Value;
  readonly by: string;
}

/**
 * C24: a signal is journaled on arrival under its sender's id, whether or not the workflow waits for it yet; the same
 * id again is the same signal. A run keeps `limits.signalsBufferedMax` that no wait has taken.
 */
export const signalRun: Move<SignalRun, SignalOutcome> = {
  name: "signalRun",
  reads: ({ run, id }) => [runKey(run), signalKey(run, id), taskKey(taskId(run, workflowKey))],
  decide(view, { run: runId, name, id, value, by }) {
    const run = view.get<RunRecord>(runKey(runId));
    if (!run) return { transactions: [], answer: () => ({ kind: "unknown" }) };
    if (view.get(signalKey(runId, id))) return { transactions: [], answer: () => ({ kind: "done" }) };
    if (isTerminalRun(run.state)) return { transactions: [], answer: () => ({ kind: "ended" }) };
    const change = new Change(view);
    if (!takeIn(change, runId, { name, id, value })) return { transactions: [], answer: () => ({ kind: "full" }) };
    change.set(signalKey(runId, id), { name });
    change.journal(runId, { e: "signal", id, name, value, by });
    wakeWorkflow(change, run, null);
    return { transactions: change.drafts(), answer: () => ({ kind: "done" }) };
  },
};
