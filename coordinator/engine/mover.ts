import { assert } from "#shared/domain/assert.ts";
import { SaltError } from "#shared/domain/errors.ts";
import type { Partition } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Clock, Random } from "#shared/ports.ts";
import { type Batch, createBatch, type Pending } from "./batch.ts";
import {
  type Claim,
  type ClaimWant,
  type Committed,
  type Engine,
  type Key,
  leaseKey,
  type Transaction,
  type Write,
} from "./engine.ts";
import { HeardTime } from "./heard-time.ts";
import type { Applied, Draft, Move, Mover, View } from "./move.ts";
import { RecordCache } from "./record-cache.ts";

/**
 * Group commit. Moves that arrive in one turn of the event loop are decided in order, each seeing what those before it
 * in the batch write, and travel in one commit together with the grants that the fleet can take.
 *
 * V1  One batch of a partition is being decided at a time; at most `limits.batchesInFlightMax` are being committed, and
 *     none reads or writes what another in flight writes.
 * V2  The cache may be stale: a check catches it, the record is read again, the move decided again.
 * V3  A move that conflicted twice is committed alone after a jittered pause; after `limits.conflictsMax` it is refused.
 * V4  After an unknown outcome everything of the batch is decided again on fresh reads.
 * V5  A lone move is committed at once. Where moves come many at a time, a batch waits `gatherMs` for more of them: a
 *     commit costs about as much as ten moves do.
 */
export interface MoverDeps {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly random: Random;
  /** Whether the fleet could take something of what is queued, as far as is known. */
  readonly couldClaim?: (partition: Partition) => boolean;
  /** What the fleet can take now, asked before each commit and held for it until `onClaims`. */
  readonly wantClaims?: (partition: Partition, batch: readonly Transaction[]) => ClaimWant | null;
  /** What was granted; null when the commit's outcome is unknown. */
  readonly onClaims?: (partition: Partition, want: ClaimWant, claims: readonly Claim[] | null) => void;
  /** What the commit tells other coordinators: applied with it, without a check. */
  readonly tell?: (partition: Partition, batch: readonly Transaction[], want: ClaimWant | null) => readonly Write[];
  /** A commit's outcome is unknown. */
  readonly onUnknown?: (partition: Partition) => void;
  /** Default: nothing is known of any. */
  readonly whereIs?: View["whereIs"];
  /** Called for each applied move in commit order, before its answer is given. */
  readonly onApplied?: (
    partition: Partition,
    drafts: readonly Draft[],
    positions: readonly number[][],
    nowMs: number,
  ) => void;
}

export interface GroupMover extends Mover {
  /**
   * Records out of the cache or fetched. One that is cached may be stale, so it is taken only when `isFinal` says that
   * what is looked for in it never changes any more; that there is none is never taken from the cache.
   */
  read<T>(partition: Partition, keys: readonly Key[], isFinal: (record: T) => boolean): Promise<readonly (T | null)[]>;
  /** Commits a claim, with or without moves: credit was given, or a queue may have filled. */
  poke(partition: Partition): void;
  /** As `read`; undefined when the record would have to be fetched. */
  peek<T>(partition: Partition, key: Key, isFinal: (record: T) => boolean): T | undefined;
  /** Believes nothing any more that it has read or written before: the engine may have forgotten some of it (C16). */
  forget(): void;
  /** Resolves when nothing is being committed or waits to be. */
  rest(): Promise<void>;
  close(): void;
}

/** Of moves that come by the hundreds, so many go into a batch that nothing else has to wait for long. */
const bulkPerBatchMax = 8;
const gatherMs = 1;
/** A batch of so many moves, and so short a time ago, says that more are coming. */
const gatherFromMoves = 4;
const gatherWithinMs = 4;
const pauseBaseMs = 2;
const restLookMs = 5;
const retryPauseMs = 50;
/** How long a move is tried while the engine cannot be reached. */
const unavailableAfterMs = 10_000;

export function createMover(deps: MoverDeps): GroupMover {
  const lines = new Map<Partition, PartitionLine>();
  const lineOf = (partition: Partition): PartitionLine => {
    const known = lines.get(partition);
    if (known) return known;
    const line = new PartitionLine(deps, partition);
    lines.set(partition, line);
    return line;
  };
  return {
    move: (partition, move, input) => lineOf(partition).add(move, input),
    read: (partition, keys, isFinal) => lineOf(partition).read(keys, isFinal),
    poke: (partition) => lineOf(partition).poke(),
    peek: (partition, key, isFinal) => lineOf(partition).peek(key, isFinal),
    forget: () => {
      for (const line of lines.values()) line.forget();
    },
    rest: async () => {
      while ([...lines.values()].some((line) => line.isBusy))
        await new Promise<void>((rested) => deps.clock.after(restLookMs, rested));
    },
    close: () => {
      for (const line of lines.values()) line.close();
    },
  };
}

class PartitionLine {
  readonly #deps: MoverDeps;
  readonly #partition: Partition;
  readonly #bootId: string;
  readonly #time: HeardTime;
  readonly #cache: RecordCache;
  readonly #inFlight = new Set<Batch>();
  #waiting: Pending[] = [];
  #scheduled = false;
  #deciding = false;
  #isFreeing = false;
  #poked = false;
  #closed = false;
  /** Moves that pause before they are tried again. */
  #paused = 0;
  #stampsGiven = 0;
  #lastBatchMoves = 0;
  #lastBatchAtMs = 0;

  constructor(deps: MoverDeps, partition: Partition) {
    this.#deps = deps;
    this.#partition = partition;
    this.#bootId = Buffer.from(deps.random.bytes(9)).toString("base64url");
    this.#time = new HeardTime(deps.clock);
    this.#cache = new RecordCache(deps.engine, this.#time);
  }

  forget(): void {
    this.#cache.clear();
  }

  get isBusy(): boolean {
    return this.#waiting.length + this.#paused > 0 || this.#deciding || this.#inFlight.size > 0;
  }

  add<Input, Answer>(move: Move<Input, Answer>, input: Input): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        move: move as Move<unknown, unknown>,
        input,
        resolve: resolve as (answer: unknown) => void,
        reject,
        losses: 0,
        unmet: false,
        doubts: 0,
        fresh: move.fresh === true,
        sinceMs: this.#deps.clock.monotonicMs(),
      });
      if (this.#closed) this.close();
      else this.#schedule();
    });
  }

  peek<T>(key: Key, isFinal: (record: T) => boolean): T | undefined {
    const value = (this.#cache.get(key)?.value ?? null) as T | null;
    return value !== null && isFinal(value) ? value : undefined;
  }

  async read<T>(keys: readonly Key[], isFinal: (record: T) => boolean): Promise<readonly (T | null)[]> {
    const known = new Map(keys.map((key) => [key, this.peek(key, isFinal)]));
    const missing = keys.filter((key) => known.get(key) === undefined);
    if (missing.length === 0) return keys.map((key) => known.get(key) ?? null);
    const { records } = await this.#cache.fetch(missing);
    return keys.map((key) => known.get(key) ?? ((records.get(key)?.value ?? null) as T | null));
  }

  poke(): void {
    this.#poked = true;
    this.#schedule();
  }

  close(): void {
    this.#closed = true;
    const error = new SaltError("Unavailable", "Cannot commit: the coordinator is stopping.");
    for (const pending of this.#waiting.splice(0)) pending.reject(error);
  }

  /** Unique for ever: a boot's random name and a count. */
  #nextStamp(): string {
    this.#stampsGiven += 1;
    return `${this.#bootId}.${this.#stampsGiven.toString(36)}`;
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    const flush = () => {
      this.#scheduled = false;
      void this.#flush();
    };
    if (this.#isBusy()) this.#deps.clock.after(gatherMs, flush);
    else this.#deps.clock.soon(flush);
  }

  /** V5: whether more moves are likely to come than those that wait. */
  #isBusy(): boolean {
    if (this.#waiting.length >= limits.batchMovesMax || this.#lastBatchMoves < gatherFromMoves) return false;
    return this.#deps.clock.monotonicMs() - this.#lastBatchAtMs < gatherWithinMs;
  }

  async #flush(): Promise<void> {
    if (this.#deciding || this.#closed || this.#inFlight.size >= limits.batchesInFlightMax) return;
    const pokedInVain = !this.#poked || this.#deps.couldClaim?.(this.#partition) !== true;
    if (this.#waiting.length === 0 && pokedInVain) {
      this.#poked = false;
      return;
    }
    this.#deciding = true;
    const taken = this.#take();
    this.#lastBatchMoves = taken.length;
    this.#lastBatchAtMs = this.#deps.clock.monotonicMs();
    let batch: Batch;
    try {
      batch = await this.#decide(taken);
    } catch (error) {
      this.#deciding = false;
      this.#again(taken, error);
      return;
    }
    this.#deciding = false;
    if (batch.left === 0 && this.#waiting.length > 0) this.#schedule();
    await this.#commit(batch);
    // What only waits for a batch in flight is looked at again when that has landed, not until then in a loop.
    if (batch.transactions.length === 0 && batch.left > 0 && this.#inFlight.size > 0) return;
    if (this.#waiting.length > 0 || this.#poked) this.#schedule();
  }

  /** Moves for one batch: a move that lost twice goes alone. */
  #take(): Pending[] {
    const first = this.#waiting[0];
    if (first && first.losses >= 2) return this.#waiting.splice(0, 1);
    this.#isFreeing = this.#mayFree();
    const taken: Pending[] = [];
    const left: Pending[] = [];
    let bulk = 0;
    for (const pending of this.#waiting) {
      const isBulk = pending.move.bulk === true;
      const isRoom = taken.length < limits.batchMovesMax && (!isBulk || bulk < bulkPerBatchMax);
      const fits = isRoom && pending.losses < 2 && (pending.move.frees === true) === this.#isFreeing;
      (fits ? taken : left).push(pending);
      if (fits && isBulk) bulk += 1;
    }
    this.#waiting = left;
    return taken;
  }

  /** What frees room goes by itself: in every other batch while something else waits too. */
  #mayFree(): boolean {
    const freeing = this.#waiting.filter(({ move }) => move.frees).length;
    return freeing > 0 && (freeing === this.#waiting.length || !this.#isFreeing);
  }

  async #decide(taken: readonly Pending[]): Promise<Batch> {
    const batch = createBatch({
      engine: this.#deps.engine,
      nowMs: this.#time.nowMs(),
      cache: this.#cache,
      nextStamp: () => this.#nextStamp(),
      busy: [...this.#inFlight],
      whereIs: (agent) => this.#deps.whereIs?.(agent) ?? "unknown",
    });
    const left = await batch.decideAll(taken);
    this.#waiting.unshift(...left);
    return batch;
  }

  async #commit(batch: Batch): Promise<void> {
    // Asked as late as can be, so that credit which arrived while the batch was read is used.
    const want = this.#deps.wantClaims?.(this.#partition, batch.transactions) ?? null;
    this.#poked = false;
    for (const answered of batch.answered) answered();
    if (batch.transactions.length === 0 && !want) return;
    this.#inFlight.add(batch);
    const news = this.#deps.tell?.(this.#partition, batch.transactions, want) ?? [];
    const all = news.length > 0 ? [...batch.transactions, { checks: [], writes: news }] : batch.transactions;
    let committed: Committed;
    try {
      committed = await (want
        ? this.#deps.engine.commit(this.#partition, all, want)
        : this.#deps.engine.commit(this.#partition, all));
    } catch (error) {
      this.#inFlight.delete(batch);
      this.#cache.clear();
      if (want) this.#deps.onClaims?.(this.#partition, want, null);
      this.#deps.onUnknown?.(this.#partition);
      this.#again(
        batch.decided.map((decided) => decided.pending),
        error,
      );
      return;
    }
    this.#inFlight.delete(batch);
    this.#time.hear(committed.nowMs);
    this.#settle(batch, committed, want);
  }

  #settle(batch: Batch, committed: Committed, want: ClaimWant | null): void {
    for (const decided of batch.decided) {
      const results = committed.results.slice(decided.first, decided.first + decided.drafts.length);
      const head = results[0];
      assert(head, "every transaction has a result");
      if (head.outcome !== "applied") {
        for (const key of decided.touched) this.#cache.delete(key);
        this.#lost(decided.pending, head.outcome === "unmet");
        continue;
      }
      for (const [index, result] of results.entries()) {
        if (result.outcome === "applied") this.#remember(batch, decided.first + index);
        else for (const key of decided.touched) this.#cache.delete(key);
      }
      const positions = results.map((result) => [...result.positions]);
      const applied: Applied = {
        nowMs: committed.nowMs,
        positions: head.positions,
        applied: results.map((result) => result.outcome === "applied"),
      };
      const drafts = decided.drafts.filter((_, index) => applied.applied[index]);
      this.#deps.onApplied?.(
        this.#partition,
        drafts,
        positions.filter((_, index) => applied.applied[index]),
        committed.nowMs,
      );
      decided.pending.resolve(decided.answer(applied));
    }
    if (want) this.#granted(want, committed.claims);
  }

  #granted(want: ClaimWant, claims: readonly Claim[]): void {
    for (const claim of claims) {
      const value = { holder: claim.holder, state: "granted", queue: claim.queue };
      this.#cache.set(leaseKey(this.#partition, claim.member), { stamp: String(claim.fence), value });
    }
    this.#deps.onClaims?.(this.#partition, want, claims);
  }

  #remember(batch: Batch, index: number): void {
    for (const [key, record] of batch.written(index)) this.#cache.set(key, record);
  }

  #lost(pending: Pending, unmet: boolean): void {
    pending.losses += 1;
    pending.unmet = unmet;
    if (pending.losses > limits.conflictsMax) {
      pending.reject(
        new SaltError(
          "Unavailable",
          `Cannot commit '${pending.move.name}': it lost to other changes ${pending.losses} times.`,
        ),
      );
      return;
    }
    if (pending.losses < 2) {
      this.#waiting.unshift(pending);
      this.#schedule();
      return;
    }
    this.#tryLater(this.#deps.random.float() * pauseBaseMs * 2 ** pending.losses, [pending]);
  }

  /** The engine did not answer: what the moves came to is unknown. */
  #again(pendings: readonly Pending[], error: unknown): void {
    const retryable = error instanceof SaltError && error.retryable;
    const nowMs = this.#deps.clock.monotonicMs();
    const left = pendings.filter((pending) => retryable && nowMs - pending.sinceMs < unavailableAfterMs);
    for (const pending of pendings) if (!left.includes(pending)) pending.reject(error);
    if (left.length === 0 && this.#waiting.length === 0) return;
    this.#tryLater(this.#deps.random.float() * retryPauseMs, left);
  }

  #tryLater(pauseMs: number, pendings: readonly Pending[]): void {
    this.#paused += pendings.length;
    this.#deps.clock.after(pauseMs, () => {
      this.#paused -= pendings.length;
      this.#waiting.unshift(...pendings);
      if (this.#closed) this.close();
      else this.#schedule();
    });
  }
}
