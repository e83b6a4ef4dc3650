import type { Partition } from "#shared/domain/ids.ts";

/**
 * The database port. All scheduling logic stands above it, written once; an engine knows records, indexes, logs,
 * counters, queues and leases, and nothing of runs or tasks.
 *
 * G1  A commit applies its transactions one after another; each applies wholly or not at all, and sees those before it.
 * G2  Time is the engine's: answers carry `nowMs`, callers give durations.
 * G3  A stamp is unique for ever and chosen by the writer. A grant stamps its lease with the fence.
 * G4  A fence is max(stored + 1, the engine's time in microseconds): it only grows, also over a rolled-back engine.
 * G5  The grants of a claim are part of the commit that they came with.
 * G6  Commit answers only when what it reports is durable, to the degree of the engine's own setting.
 */
export interface Engine {
  /** Values with their stamps, in the order asked; absent ones with stamp null. Keys may be of several partitions. */
  get(keys: readonly Key[]): Promise<{ readonly nowMs: number; readonly found: readonly Found[] }>;
  commit(partition: Partition, batch: readonly Transaction[], claim?: ClaimWant): Promise<Committed>;
  /** Rows of an index in ascending order of (score, member), or descending with `reverse`. */
  range(index: Key, query: RangeQuery): Promise<{ readonly nowMs: number; readonly rows: readonly IndexRow[] }>;
  /** Entries of a log after a position (0 for all), at most `limit` and at most about `bytesMax`, at least one if any. */
  read(log: Key, after: number, limit: number, bytesMax?: number): Promise<readonly LogEntry[]>;
  /** Hints from this call on: may be lost and repeated, never the only carrier of a fact. Ends when `signal` aborts. */
  listen(topics: readonly string[], signal: AbortSignal): AsyncIterable<Hint>;
  close(): Promise<void>;
}

declare const keyBrand: unique symbol;
/** `{<partition>}<name>`: the braces are a Redis hash tag. */
export type Key = string & { readonly [keyBrand]: true };

export const keyIn = (partition: Partition, name: string): Key => `{${partition}}${name}` as Key;
export const partitionOfKey = (key: Key): Partition => key.slice(1, key.indexOf("}")) as Partition;

export type Stamp = string;

export interface Found {
  readonly key: Key;
  /** Null when there is no such record. A counter has the stamp "counter". */
  readonly stamp: Stamp | null;
  readonly value: string | null;
}

/** `nowPlusMs` counts from the engine's time at the commit. */
export type Score = { readonly at: number } | { readonly nowPlusMs: number };

export type Check =
  | { readonly kind: "stamp"; readonly key: Key; readonly stamp: Stamp | null }
  /** Holds when the index has fewer than `than` members, or `member` is already in it. */
  | { readonly kind: "fewer"; readonly index: Key; readonly than: number; readonly member?: string }
  /** Holds when the last entry of the log has this position (0: it is empty). */
  | { readonly kind: "end"; readonly log: Key; readonly position: number };

export type Write =
  | { readonly kind: "set"; readonly key: Key; readonly stamp: Stamp; readonly value: string }
  /** Of a record, a counter, a lease or a log. A log is short or trimmed by then; its next append begins at 1 again. */
  | { readonly kind: "delete"; readonly key: Key }
  | {
      readonly kind: "rank";
      readonly index: Key;
      readonly member: string;
      readonly score: Score;
      readonly value?: string;
    }
  | { readonly kind: "unrank"; readonly index: Key; readonly member: string }
  /** Puts a member into a queue; grants take the lowest score first. Also keeps the partition's index `queues`. */
  | { readonly kind: "enqueue"; readonly queue: string; readonly member: string; readonly score: Score }
  | { readonly kind: "dequeue"; readonly queue: string; readonly member: string }
  /** Moves the deadline of a held lease, and with `holder` and `state` what it says; the stamp (fence) stays. */
  | {
      readonly kind: "hold";
      readonly member: string;
      readonly forMs: number;
      readonly state?: string;
      readonly holder?: string;
    }
  /** Ends a held lease. Its fence stays, so that the next is higher. */
  | { readonly kind: "release"; readonly member: string }
  /** The next position is answered in `positions`. The entry's time is the commit's. */
  | { readonly kind: "append"; readonly log: Key; readonly value: string }
  /**
   * Drops the entries of a log up to a position, but never its last: positions stay, and go on from there. Callers drop
   * a bounded number at a time.
   */
  | { readonly kind: "trim"; readonly log: Key; readonly through: number }
  | { readonly kind: "add"; readonly counter: Key; readonly delta: number }
  /** Hints those who listen to the topic, once for each note of the batch. */
  | ({ readonly kind: "signal" } & Hint);

/** What may have changed: a topic, and a word about it that the engine passes on. */
export interface Hint {
  readonly topic: string;
  readonly note: string;
}

export interface Transaction {
  readonly checks: readonly Check[];
  readonly writes: readonly Write[];
  /** Indexes, in this batch, of transactions that this one relies on: it is skipped unless all were applied. */
  readonly after?: readonly number[];
  /** It takes less room than it frees: a batch of nothing else is applied where there is no room for any other. */
  readonly frees?: true;
}

/** `conflict`: a stamp was another, whatever else did not hold. `unmet`: a `fewer` or `end` check did not hold. */
export type Outcome = "applied" | "conflict" | "unmet" | "skipped";

export interface ClaimWant {
  /** How long a grant holds until it is accepted, on the partition's lease clock. */
  readonly holdMs: number;
  readonly wants: readonly {
    readonly holder: string;
    readonly queues: readonly string[];
    /** At most so many, the lowest scores over all the queues first; of equal ones those of the queue named first. */
    readonly take: number;
  }[];
}

export interface Claim {
  readonly queue: string;
  readonly member: string;
  readonly holder: string;
  readonly fence: number;
}

export interface Committed {
  readonly nowMs: number;
  readonly results: readonly { readonly outcome: Outcome; readonly positions: readonly number[] }[];
  readonly claims: readonly Claim[];
}

export interface RangeQuery {
  readonly from?: number;
  readonly to?: number;
  /** Rows strictly after this one in the order of the query: a cursor. */
  readonly after?: { readonly score: number; readonly member: string };
  readonly limit: number;
  readonly reverse?: boolean;
}

export interface IndexRow {
  readonly member: string;
  readonly score: number;
  readonly value: string | null;
}

export interface LogEntry {
  readonly position: number;
  readonly atMs: number;
  readonly value: string;
}

/**
 * Keys that engines themselves write. A lease is a record whose stamp is its fence in decimal and whose value is JSON
 * of `LeaseRecord`; `leases` ranks held leases by deadline on the lease clock, which is the engine's time less the
 * counter `paused`; `queues` ranks non-empty queues (score: time of becoming non-empty).
 */
export const leaseKey = (partition: Partition, member: string): Key => keyIn(partition, `lease/${member}`);
export const leasesIndex = (partition: Partition): Key => keyIn(partition, "leases");
export const queuesIndex = (partition: Partition): Key => keyIn(partition, "queues");
export const queueIndex = (partition: Partition, queue: string): Key => keyIn(partition, `queue/${queue}`);
export const pausedCounter = (partition: Partition): Key => keyIn(partition, "paused");

export interface LeaseRecord {
  /** Empty when released. */
  readonly holder: string;
  /** `granted` until a `hold` says otherwise. */
  readonly state: string;
  readonly queue: string;
}

/**
 * Written by an engine whose server may have forgotten what it acknowledged (C16), in the first commit of the partition
 * on another server: leases with a lower fence are void, and have come to their deadline. Absent until then.
 */
export const epochKey = (partition: Partition): Key => keyIn(partition, "epoch");

export interface EpochRecord {
  readonly epoch: number;
  readonly fence: number;
}
