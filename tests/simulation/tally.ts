import { type Key, keyIn } from "#coordinator/engine/engine.ts";
import { type Move, writing } from "#coordinator/engine/move.ts";
import type { Partition } from "#shared/domain/ids.ts";

export interface Tally {
  readonly marks: readonly string[];
}

export const tallyKey = (partition: Partition): Key => keyIn(partition, "tally");

/**
 * Adds a mark to a record that all coordinators write at once, several times in a batch: no move of Salt's own is so hot,
 * and none would show so plainly that an update is lost.
 */
export const addMark: Move<{ partition: Partition; mark: string }, void> = {
  name: "addMark",
  reads: ({ partition }) => [tallyKey(partition)],
  decide(view, { partition, mark }) {
    const marks = view.get<Tally>(tallyKey(partition))?.marks ?? [];
    if (marks.includes(mark)) return { transactions: [], answer: () => undefined };
    return writing({ kind: "set", key: tallyKey(partition), value: { marks: [...marks, mark] } });
  },
};
