import type { Partition } from "#shared/domain/ids.ts";
import type { Check, IndexRow, Key, Score, Write } from "./engine.ts";

/**
 * A move is one named decision about the state: `reads` names what it looks at first, `decide` looks and answers what
 * to write. `decide` is pure and synchronous and may run several times before one of its decisions is applied.
 *
 * M1  Every record that `decide` looked at is checked to be unchanged when its first transaction applies.
 * M2  Every transaction must have a check that its own success makes false (writing a record that was read is enough),
 *     so that a move can be decided again after an unknown outcome.
 */
export interface Move<Input, Answer> {
  readonly name: string;
  /** Its reads go past the cache: what it looks at is changed by writes that keep the stamp (what a lease says). */
  readonly fresh?: boolean;
  /** Much of it comes at once and can wait: other moves of the same partition go first, and only some of it into a batch. */
  readonly bulk?: boolean;
  /** What it writes takes less room than it frees. It goes into batches of such moves alone, which a full engine applies. */
  readonly frees?: true;
  /**
   * Of what it reads, records that most likely are not there: they are taken to be absent without being read, which the
   * commit's checks confirm or refute; after a conflict they are read.
   */
  readonly news?: (input: Input) => readonly Key[];
  reads(input: Input): readonly Key[];
  decide(view: View, input: Input): Decision<Answer>;
}

export interface View {
  readonly nowMs: number;
  /** The record as parsed JSON, not to be changed; null when absent. What `reads` did not name is fetched in a further round. */
  get<T>(key: Key): T | null;
  /** The stamp of a record, or null when absent; of a lease it is the fence in decimal. */
  stamp(key: Key): string | null;
  /** The first `limit` rows of an index by score, fetched in a further round. No check is added: use `Draft.fewer`. */
  rows(index: Key, limit: number): readonly IndexRow[];
  /** Fetches records that `get` is going to look at, all in one further round. No check is added. */
  prepare(keys: readonly Key[]): void;
  /** Where an agent is connected, as far as this coordinator knows: a hint, which no check holds to. */
  whereIs(agent: string): Whereabouts;
  /** Whether a `fewer` or `end` check of this move's last try did not hold. */
  readonly unmet: boolean;
}

export type Whereabouts = "here" | "gone" | "unknown";

/** A transaction being written. Stamps are added by the mover; values are objects, stored as JSON. */
export interface Draft {
  readonly checks: readonly Check[];
  readonly writes: readonly DraftWrite[];
  /** Relies on the move's transactions with these indexes; the second and later ones rely on the first by default. */
  readonly after?: readonly number[];
}

export type DraftWrite =
  | Exclude<Write, { kind: "set" }>
  | { readonly kind: "set"; readonly key: Key; readonly value: object };

export interface Decision<Answer> {
  /** None: the answer stands without a write, on records read past the cache and on nothing that is not yet durable. */
  readonly transactions: readonly Draft[];
  /** Made once the decision is durable; `positions` are those of the first transaction's appends. */
  readonly answer: (applied: Applied) => Answer;
}

export interface Applied {
  readonly nowMs: number;
  readonly positions: readonly number[];
  /** By transaction. The first was applied, or the move would have been decided again. */
  readonly applied: readonly boolean[];
}

export interface Mover {
  /** `Unavailable` when the engine cannot be reached, or the move kept losing to others. */
  move<Input, Answer>(partition: Partition, move: Move<Input, Answer>, input: Input): Promise<Answer>;
}

/** A decision to write, which has no more to say. What it read is checked, as of any. */
export const writing = (...writes: readonly DraftWrite[]): Decision<void> => ({
  transactions: [{ checks: [], writes }],
  answer: () => undefined,
});

export const at = (ms: number): Score => ({ at: ms });
export const inMs = (ms: number): Score => ({ nowPlusMs: ms });
