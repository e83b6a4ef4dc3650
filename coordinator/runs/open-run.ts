import { SaltError } from "#shared/domain/errors.ts";
import type { Move } from "../engine/move.ts";
import { type RunRecord, runKey } from "../records.ts";
import type { OpenRunOutcome } from "../stages.ts";
import { Change } from "../state/change.ts";
import { removalKey } from "../state/kept-records.ts";
import { type NewRun, writeNewRun } from "../state/new-run.ts";

/**
 * Opens a run under its id. A run under an identity has an id derived from it, so the same request again finds the run
 * that the first one opened, and one with another body is told apart by its digest (A70).
 */
export const openRun: Move<NewRun, OpenRunOutcome> = {
  name: "openRun",
  reads: ({ id, identityDigest }) => (identityDigest === null ? [runKey(id)] : [runKey(id), removalKey(id)]),
  decide(view, input) {
    const known = view.get<RunRecord>(runKey(input.id));
    // Under an id that is new there was no run before.
    if (input.identityDigest !== null && view.get(removalKey(input.id))) throw beingRemoved();
    if (known) {
      // Under an id that is new it can only be this very request, whose first answer was lost.
      if (input.identityDigest === null) return { transactions: [], answer: () => ({ kind: "opened", run: input.id }) };
      const kind = known.identityDigest === input.identityDigest ? "repeated" : "reused";
      return { transactions: [], answer: () => ({ kind, run: input.id }) };
    }
    const change = new Change(view);
    writeNewRun(change, input);
    return { transactions: change.drafts(), answer: () => ({ kind: "opened", run: input.id }) };
  },
};

/** The run that was opened under the same key is past its time, and not yet removed in all its parts. */
const beingRemoved = (): SaltError =>
  new SaltError("Unavailable", "Cannot open the run: what an earlier request under its key left is being removed.", {
    next: "Send the request again in a moment.",
  });
