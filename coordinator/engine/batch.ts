import { assert } from "#shared/domain/assert.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Check, Engine, IndexRow, Key, Transaction, Write } from "./engine.ts";
import type { Applied, Decision, Draft, Move, View } from "./move.ts";
import type { CachedRecord, RecordCache } from "./record-cache.ts";

/** A move that waits for its answer. */
export interface Pending {
  readonly move: Move<unknown, unknown>;
  readonly input: unknown;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly sinceMs: number;
  losses: number;
  unmet: boolean;
  /** How often its decision has thrown. */
  doubts: number;
  /** What it looks at is read past the cache. */
  fresh: boolean;
}

export interface Decided {
  readonly pending: Pending;
  readonly drafts: readonly Draft[];
  /** Index of the move's first transaction in the batch. */
  readonly first: number;
  /** Keys read and written. */
  readonly touched: readonly Key[];
  readonly answer: (applied: Applied) => unknown;
}

export interface Batch {
  readonly transactions: readonly Transaction[];
  readonly decided: readonly Decided[];
  /** Moves that write nothing; called once the batch is made. */
  readonly answered: readonly (() => void)[];
  readonly reads: ReadonlySet<Key>;
  readonly writes: ReadonlySet<Key>;
  /** Moves that `decideAll` gave back. */
  readonly left: number;
  /** What a transaction leaves in the cache when it applied. */
  written(transaction: number): Iterable<[Key, CachedRecord]>;
  /** Decides in order; answers the moves that have to wait for a batch in flight, or did not fit. */
  decideAll(pendings: readonly Pending[]): Promise<readonly Pending[]>;
}

interface BatchDeps {
  readonly engine: Engine;
  /** The engine's time, as far as it is known. */
  readonly nowMs: number;
  readonly cache: RecordCache;
  readonly nextStamp: () => string;
  readonly busy: readonly Batch[];
  readonly whereIs: View["whereIs"];
}

/** Rounds of reads that one move may need: an index each, of two that each call of a publication may look into. */
const roundsMax = 40;
/** Decisions that may throw before the move does. */
const doubtsMax = 3;

/** The first rows of an index. */
interface Rows {
  readonly index: Key;
  readonly limit: number;
}

const nameOf = ({ index, limit }: Rows): string => `${limit} ${index}`;

/** Thrown by a view when a decision looks at what has not been read yet; caught by the batch, which reads it. */
class Unread {
  readonly keys: readonly Key[];
  readonly rows: Rows | null;
  constructor(keys: readonly Key[], rows: Rows | null = null) {
    this.keys = keys;
    this.rows = rows;
  }
}

const absent: CachedRecord = { stamp: null, value: null };
const none: ReadonlySet<Key> = new Set();
const newsOf = ({ move, input, losses, fresh }: Pending): ReadonlySet<Key> =>
  move.news === undefined || losses > 0 || fresh ? none : new Set(move.news(input));

export const createBatch = (deps: BatchDeps): Batch => new GroupBatch(deps);

class GroupBatch implements Batch {
  readonly #deps: BatchDeps;
  readonly transactions: Transaction[] = [];
  readonly decided: Decided[] = [];
  readonly answered: (() => void)[] = [];
  readonly reads = new Set<Key>();
  readonly writes = new Set<Key>();
  readonly #loaded = new Map<Key, CachedRecord>();
  readonly #overlay = new Map<Key, CachedRecord>();
  readonly #rows = new Map<string, readonly IndexRow[]>();
  readonly #written: [Key, CachedRecord][][] = [];
  left = 0;
  #bytes = 0;
  #nowMs: number;

  constructor(deps: BatchDeps) {
    this.#deps = deps;
    this.#nowMs = deps.nowMs;
  }

  written(transaction: number): Iterable<[Key, CachedRecord]> {
    return this.#written[transaction] ?? [];
  }

  async decideAll(pendings: readonly Pending[]): Promise<readonly Pending[]> {
    const left: Pending[] = [];
    let open = pendings;
    let wanted = this.#unread(pendings);
    for (let round = 0; open.length > 0; round += 1) {
      if (round === roundsMax) {
        for (const pending of open) pending.reject(new Error(`'${pending.move.name}' needs too many rounds of reads`));
        break;
      }
      await this.#load(wanted);
      wanted = { keys: new Set(), ranges: new Map() };
      const again: Pending[] = [];
      for (const pending of open) this.#decideOne(pending, { wanted, again, left });
      open = again;
    }
    this.left = left.length;
    return left;
  }

  #unread(pendings: readonly Pending[]): Wanted {
    const keys = new Set<Key>();
    for (const pending of pendings) this.#addUnread(pending, keys, pending.fresh);
    return { keys, ranges: new Map() };
  }

  /** What a move reads first and is not at hand; with `all`, whatever is. */
  #addUnread(pending: Pending, keys: Set<Key>, all: boolean): void {
    const news = newsOf(pending);
    for (const key of pending.move.reads(pending.input)) {
      if (!news.has(key) && (all || !this.#find(key))) keys.add(key);
    }
  }

  #find(key: Key): CachedRecord | undefined {
    return this.#overlay.get(key) ?? this.#loaded.get(key) ?? this.#deps.cache.get(key);
  }

  async #load({ keys, ranges }: Wanted): Promise<void> {
    if (keys.size > 0) {
      const { nowMs, records } = await this.#deps.cache.fetch([...keys]);
      this.#nowMs = nowMs;
      for (const [key, record] of records) this.#loaded.set(key, record);
    }
    for (const [name, { index, limit }] of ranges) {
      const { rows } = await this.#deps.engine.range(index, { limit });
      this.#rows.set(name, rows);
    }
  }

  #decideOne(pending: Pending, round: Round): void {
    if (this.transactions.length >= limits.batchMovesMax || this.#bytes >= limits.batchBytesMax) {
      round.left.push(pending);
      return;
    }
    const looked: Looked = new Map();
    try {
      const decision = pending.move.decide(this.#view(pending, looked), pending.input);
      if (decision.transactions.length === 0) this.#answer(pending, decision, looked, round);
      else if (this.#isBusy(looked, decision.transactions)) round.left.push(pending);
      else this.#write(pending, decision, looked);
    } catch (error) {
      if (error instanceof Unread) this.#readMore(pending, error, round);
      else this.#doubt(pending, error, looked, round);
    }
  }

  /** What writes nothing is answered, unless it rests on what is not sure. */
  #answer(pending: Pending, decision: Decision<unknown>, looked: Looked, { wanted, again, left }: Round): void {
    // What this batch is about to write is not durable yet, and may never be.
    if (this.#restsOnBatch(looked)) left.push(pending);
    else if (this.#readAgain(looked, wanted)) again.push(pending);
    else {
      this.answered.push(() => pending.resolve(decision.answer({ nowMs: this.#nowMs, positions: [], applied: [] })));
    }
  }

  #restsOnBatch(looked: Looked): boolean {
    return [...looked.keys()].some((key) => this.#overlay.has(key));
  }

  #readMore(pending: Pending, { keys, rows }: Unread, { wanted, again }: Round): void {
    for (const key of keys) wanted.keys.add(key);
    // The cache may have been emptied since the first round: what is gone with it is read in one more, not one by one.
    this.#addUnread(pending, wanted.keys, false);
    if (rows) wanted.ranges.set(nameOf(rows), rows);
    again.push(pending);
  }

  /**
   * What a decision throws may come of records that were read at different times and do not fit each other: it is made
   * again on all of them as they are at one time, before it is believed.
   */
  #doubt(pending: Pending, error: unknown, looked: Looked, { wanted, again, left }: Round): void {
    pending.doubts += 1;
    if (pending.doubts > doubtsMax) pending.reject(error);
    else if (this.#restsOnBatch(looked)) left.push(pending);
    else {
      for (const key of looked.keys()) wanted.keys.add(key);
      again.push(pending);
    }
  }

  /** No check will catch that an answer without a write rests on a stale cache, so it is given on fresh reads only. */
  #readAgain(looked: Looked, wanted: Wanted): boolean {
    const stale = [...looked.keys()].filter((key) => !this.#loaded.has(key));
    for (const key of stale) wanted.keys.add(key);
    return stale.length > 0;
  }

  #view(pending: Pending, looked: Looked): View {
    const news = newsOf(pending);
    const look = (key: Key): CachedRecord => {
      const record = this.#find(key) ?? (news.has(key) ? absent : undefined);
      if (!record) throw new Unread([key]);
      looked.set(key, record.stamp);
      return record;
    };
    return {
      nowMs: this.#nowMs,
      unmet: pending.unmet,
      whereIs: this.#deps.whereIs,
      get: <T>(key: Key) => look(key).value as T | null,
      stamp: (key) => look(key).stamp,
      rows: (index, limit) => {
        const rows = this.#rows.get(nameOf({ index, limit }));
        if (!rows) throw new Unread([], { index, limit });
        return rows;
      },
      prepare: (keys) => {
        const missing = keys.filter((key) => !this.#find(key));
        if (missing.length > 0) throw new Unread(missing);
      },
    };
  }

  #isBusy(looked: Looked, drafts: readonly Draft[]): boolean {
    if (this.#deps.busy.length === 0) return false;
    return this.#deps.busy.some((batch) => {
      for (const key of looked.keys()) if (batch.writes.has(key)) return true;
      for (const draft of drafts) {
        for (const write of draft.writes) {
          if ("key" in write && (batch.writes.has(write.key) || batch.reads.has(write.key))) return true;
        }
      }
      return false;
    });
  }

  #write(pending: Pending, { transactions: drafts, answer }: Decision<unknown>, looked: Looked): void {
    const first = this.transactions.length;
    const touched = [...looked.keys()];
    assert(touched.length <= limits.moveRecordsMax, `'${pending.move.name}' touches few records`);
    for (const [index, draft] of drafts.entries()) {
      const checks: Check[] = [...draft.checks];
      if (index === 0) {
        for (const [key, stamp] of looked) if (stamp !== "counter") checks.push({ kind: "stamp", key, stamp });
      }
      const after = index === 0 ? [] : (draft.after ?? [0]).map((earlier) => first + earlier);
      const written: [Key, CachedRecord][] = [];
      const writes = draft.writes.map((write) => this.#prepare(write, written, index === 0));
      this.#written.push(written);
      const frees = pending.move.frees ? { frees: pending.move.frees } : {};
      this.transactions.push({ checks, writes, ...(after.length > 0 ? { after } : {}), ...frees });
    }
    for (const key of looked.keys()) this.reads.add(key);
    this.decided.push({ pending, drafts, first, touched, answer });
  }

  #prepare(write: Draft["writes"][number], written: [Key, CachedRecord][], certain: boolean): Write {
    switch (write.kind) {
      case "set": {
        const value = JSON.stringify(write.value);
        const stamp = this.#deps.nextStamp();
        this.#bytes += value.length;
        this.#note(write.key, { stamp, value: write.value }, written, certain);
        return { kind: "set", key: write.key, stamp, value };
      }
      case "delete":
        this.#note(write.key, { stamp: null, value: null }, written, certain);
        return write;
      case "append":
        this.#bytes += write.value.length;
        return write;
      default:
        return write;
    }
  }

  /**
   * Later moves of the batch see what a first transaction writes, for they fail with it. Of the further ones, which may
   * not apply while the move does, they see nothing, and conflict when it did apply.
   */
  #note(key: Key, record: CachedRecord, written: [Key, CachedRecord][], certain: boolean): void {
    if (certain) this.#overlay.set(key, record);
    this.writes.add(key);
    written.push([key, record]);
  }
}

/** The records that a decision looked at, with their stamps. */
type Looked = Map<Key, string | null>;

/** What is to be read before the next round of decisions. */
interface Wanted {
  readonly keys: Set<Key>;
  readonly ranges: Map<string, Rows>;
}

/** Where a round of decisions puts what it does not decide: to be decided in the next, or in a later batch. */
interface Round {
  readonly wanted: Wanted;
  readonly again: Pending[];
  readonly left: Pending[];
}
