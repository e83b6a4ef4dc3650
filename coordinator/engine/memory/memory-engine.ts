import { assert } from "#shared/domain/assert.ts";
import type { Partition } from "#shared/domain/ids.ts";
import type { Clock } from "#shared/ports.ts";
import { assertBatch, assertLimit } from "../assert-batch.ts";
import { closedError } from "../closed-error.ts";
import {
  type Check,
  type Claim,
  type ClaimWant,
  type Committed,
  type Engine,
  type Found,
  type Hint,
  type Key,
  type LeaseRecord,
  type LogEntry,
  leaseKey,
  leasesIndex,
  type Outcome,
  partitionOfKey,
  pausedCounter,
  queueIndex,
  queuesIndex,
  type RangeQuery,
  type Transaction,
  type Write,
} from "../engine.ts";
import { createEngineClock, nextFence, scoreAt } from "../engine-clock.ts";
import { HintSet, Hints } from "../hints.ts";
import { SortedIndex } from "./sorted-index.ts";

/** The model that other engines are compared with, and the engine of tests. Nothing outlives the process. */
export function createMemoryEngine(deps: { readonly clock: Clock }): Engine {
  return new MemoryEngine(deps.clock);
}

interface CommitContext {
  readonly partition: Partition;
  readonly nowMs: number;
  readonly hints: HintSet;
}

class MemoryEngine implements Engine {
  readonly #now: () => number;
  /** Leases too, as records. */
  readonly #records = new Map<Key, { stamp: string; value: string }>();
  readonly #counters = new Map<Key, number>();
  readonly #indexes = new Map<Key, SortedIndex>();
  readonly #logs = new Map<Key, LogEntry[]>();
  readonly #hints = new Hints();
  #lastFence = 0;
  #closed = false;

  constructor(clock: Clock) {
    this.#now = createEngineClock(clock, 0);
  }

  async get(keys: readonly Key[]): Promise<{ nowMs: number; found: readonly Found[] }> {
    this.#assertOpen("read records");
    return { nowMs: this.#now(), found: keys.map((key) => this.#find(key)) };
  }

  async commit(partition: Partition, batch: readonly Transaction[], claim?: ClaimWant): Promise<Committed> {
    this.#assertOpen("commit");
    assertBatch(partition, batch, claim);
    const context: CommitContext = { partition, nowMs: this.#now(), hints: new HintSet() };
    const results: { outcome: Outcome; positions: number[] }[] = [];
    for (const transaction of batch) {
      const relied = (transaction.after ?? []).every((index) => results[index]?.outcome === "applied");
      const outcome = relied ? this.#check(transaction.checks) : "skipped";
      const positions: number[] = [];
      results.push({ outcome, positions });
      if (outcome !== "applied") continue;
      for (const write of transaction.writes) this.#write(context, write, positions);
    }
    const claims = claim === undefined ? [] : this.#grant(context, claim);
    this.#hints.emit(context.hints);
    return { nowMs: context.nowMs, results, claims };
  }

  async range(index: Key, query: RangeQuery) {
    this.#assertOpen("read an index");
    assertLimit(query.limit);
    return { nowMs: this.#now(), rows: this.#index(index).range(query) };
  }

  async read(log: Key, after: number, limit: number, bytesMax = Number.POSITIVE_INFINITY) {
    this.#assertOpen("read a log");
    assertLimit(limit);
    const entries: LogEntry[] = [];
    let bytes = 0;
    const all = this.#logs.get(log) ?? [];
    const trimmed = (all[0]?.position ?? 1) - 1;
    for (const entry of all.slice(Math.max(0, after - trimmed))) {
      bytes += Buffer.byteLength(entry.value);
      if (entries.length === limit || (entries.length > 0 && bytes > bytesMax)) break;
      entries.push(entry);
    }
    return entries;
  }

  listen(topics: readonly string[], signal: AbortSignal): AsyncIterable<Hint> {
    return this.#hints.listen(topics, signal);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#hints.close();
  }

  #assertOpen(attempted: string): void {
    if (this.#closed) throw closedError(attempted);
  }

  #find(key: Key): Found {
    const count = this.#counters.get(key);
    if (count !== undefined) return { key, stamp: "counter", value: String(count) };
    const record = this.#records.get(key);
    return { key, stamp: record?.stamp ?? null, value: record?.value ?? null };
  }

  #index(key: Key): SortedIndex {
    let index = this.#indexes.get(key);
    if (index === undefined) {
      index = new SortedIndex();
      this.#indexes.set(key, index);
    }
    return index;
  }

  /** A wrong stamp decides first: an unmet check of a decision that saw old records says nothing. */
  #check(checks: readonly Check[]): Outcome {
    const failed = checks.filter((check) => !this.#holds(check));
    if (failed.length === 0) return "applied";
    return failed.some((check) => check.kind === "stamp") ? "conflict" : "unmet";
  }

  #holds(check: Check): boolean {
    switch (check.kind) {
      case "stamp":
        return this.#find(check.key).stamp === check.stamp;
      case "fewer": {
        const index = this.#index(check.index);
        return index.size < check.than || (check.member !== undefined && index.has(check.member));
      }
      case "end":
        return (this.#logs.get(check.log)?.at(-1)?.position ?? 0) === check.position;
    }
  }

  #write(context: CommitContext, write: Write, positions: number[]): void {
    const { partition, nowMs } = context;
    switch (write.kind) {
      case "set":
        assert(!this.#counters.has(write.key), `${write.key} is a counter and not a record`);
        this.#records.set(write.key, { stamp: write.stamp, value: write.value });
        break;
      case "delete":
        this.#delete(write.key);
        break;
      case "rank":
        this.#index(write.index).set({
          member: write.member,
          score: scoreAt(write.score, nowMs),
          value: write.value ?? null,
        });
        break;
      case "unrank":
        this.#index(write.index).delete(write.member);
        break;
      case "enqueue":
        this.#enqueue(context, write.queue, write.member, scoreAt(write.score, nowMs));
        break;
      case "dequeue":
        this.#dequeue(partition, write.queue, write.member);
        break;
      case "hold":
        this.#hold(context, write);
        break;
      case "release":
        this.#release(partition, write.member);
        break;
      case "append": {
        const log = this.#logs.get(write.log) ?? [];
        this.#logs.set(write.log, log);
        const position = (log.at(-1)?.position ?? 0) + 1;
        log.push({ position, atMs: nowMs, value: write.value });
        positions.push(position);
        break;
      }
      case "trim": {
        const log = this.#logs.get(write.log);
        if (log)
          this.#logs.set(
            write.log,
            log.filter((entry, index) => entry.position > write.through || index === log.length - 1),
          );
        break;
      }
      case "add":
        assert(!this.#records.has(write.counter), `${write.counter} is a record and not a counter`);
        this.#counters.set(write.counter, (this.#counters.get(write.counter) ?? 0) + write.delta);
        break;
      case "signal":
        context.hints.add(write);
    }
  }

  #delete(key: Key): void {
    this.#records.delete(key);
    this.#counters.delete(key);
    this.#logs.delete(key);
    const partition = partitionOfKey(key);
    const leases = leaseKey(partition, "");
    if (key.startsWith(leases)) this.#index(leasesIndex(partition)).delete(key.slice(leases.length));
  }

  #enqueue(context: CommitContext, queue: string, member: string, score: number): void {
    const index = this.#index(queueIndex(context.partition, queue));
    if (index.size === 0) {
      this.#index(queuesIndex(context.partition)).set({ member: queue, score: context.nowMs, value: null });
    }
    index.set({ member, score, value: null });
  }

  #dequeue(partition: Partition, queue: string, member: string): void {
    const index = this.#index(queueIndex(partition, queue));
    index.delete(member);
    if (index.size === 0) this.#index(queuesIndex(partition)).delete(queue);
  }

  #hold(context: CommitContext, write: Write & { kind: "hold" }): void {
    const { partition } = context;
    const record = this.#records.get(leaseKey(partition, write.member));
    if (record === undefined || !this.#index(leasesIndex(partition)).has(write.member)) return;
    const lease = JSON.parse(record.value) as LeaseRecord;
    record.value = leaseValue({
      holder: write.holder ?? lease.holder,
      state: write.state ?? lease.state,
      queue: lease.queue,
    });
    this.#rankLease(context, write.member, write.forMs);
  }

  #release(partition: Partition, member: string): void {
    const record = this.#records.get(leaseKey(partition, member));
    if (record === undefined || !this.#index(leasesIndex(partition)).delete(member)) return;
    record.value = leaseValue({ ...(JSON.parse(record.value) as LeaseRecord), holder: "" });
  }

  #rankLease(context: CommitContext, member: string, forMs: number): void {
    const leaseNowMs = context.nowMs - (this.#counters.get(pausedCounter(context.partition)) ?? 0);
    this.#index(leasesIndex(context.partition)).set({ member, score: leaseNowMs + forMs, value: null });
  }

  #grant(context: CommitContext, claim: ClaimWant): Claim[] {
    const { partition, nowMs } = context;
    const claims: Claim[] = [];
    for (const { holder, queues, take } of claim.wants) {
      for (let taken = 0; taken < take; taken++) {
        const queue = this.#lowest(partition, queues);
        const member = queue === null ? undefined : this.#index(queueIndex(partition, queue)).first?.member;
        if (queue === null || member === undefined) break;
        this.#dequeue(partition, queue, member);
        this.#lastFence = nextFence(this.#lastFence, nowMs);
        this.#records.set(leaseKey(partition, member), {
          stamp: String(this.#lastFence),
          value: leaseValue({ holder, state: "granted", queue }),
        });
        this.#rankLease(context, member, claim.holdMs);
        claims.push({ queue, member, holder, fence: this.#lastFence });
      }
    }
    assert(new Set(claims.map((claim) => claim.fence)).size === claims.length, "no fence is given twice");
    return claims;
  }

  /** The queue whose first member has the lowest score; of equal ones the first named. */
  #lowest(partition: Partition, queues: readonly string[]): string | null {
    let lowest: string | null = null;
    let lowestScore = Number.POSITIVE_INFINITY;
    for (const queue of queues) {
      const score = this.#index(queueIndex(partition, queue)).first?.score;
      if (score === undefined || score >= lowestScore) continue;
      lowest = queue;
      lowestScore = score;
    }
    return lowest;
  }
}

const leaseValue = ({ holder, state, queue }: LeaseRecord): string => JSON.stringify({ holder, state, queue });
