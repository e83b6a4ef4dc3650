import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Partition } from "#shared/domain/ids.ts";
import type { Clock } from "#shared/ports.ts";
import { assertBatch, assertLimit } from "../assert-batch.ts";
import { closedError } from "../closed-error.ts";
import type {
  ClaimWant,
  Committed,
  Engine,
  Found,
  Hint,
  IndexRow,
  Key,
  LogEntry,
  RangeQuery,
  Transaction,
} from "../engine.ts";
import { createEngineClock } from "../engine-clock.ts";
import { Hints } from "../hints.ts";
import {
  type CommitContext,
  checkAll,
  commitContext,
  createTables,
  grantClaim,
  type Tables,
  writeAll,
  writeGathered,
} from "./apply-batch.ts";
import { isLeasesIndex, memberOfLease } from "./leases.ts";
import { openDatabase } from "./open-database.ts";
import { toSaltError } from "./sqlite-error.ts";

/**
 * The embedded engine: one SQLite file, used by one process. It works on the main thread: a commit of 100 moves takes
 * about as long as handing them to another thread and back would.
 *
 * Q1  A commit is one SQL transaction, durable when it answers (`synchronous = FULL`).
 * Q2  A transaction's checks all come before its writes, so that one that does not hold has written nothing.
 * Q3  A time and a fence are stored that what commits answer never passes, so neither goes back when the process ends.
 *     They are stored a little ahead, for most commits then need not write them, and exactly on closing.
 *
 * `Unavailable` when another process has the file, when a newer Salt wrote it, or when the disk fails; `NoSpace` when
 * the disk is full. A commit that meets either is applied wholly or not at all; after `NoSpace` it is not.
 */
export function createSqliteEngine(deps: { readonly file: string; readonly clock: Clock }): Engine {
  return new SqliteEngine(openDatabase(deps.file), deps.clock);
}

/** How far ahead the time and the fence are stored: no more than a restart takes. */
const storedAheadMs = 100;

/** For tests that need the database itself. */
export class SqliteEngine implements Engine {
  readonly #db: DatabaseSync;
  readonly #now: () => number;
  readonly #tables: Tables;
  readonly #hints = new Hints();
  readonly #begin: StatementSync;
  readonly #end: StatementSync;
  readonly #store: StatementSync;
  #lastFence: number;
  #stored: { readonly nowMs: number; readonly fence: number };

  constructor(db: DatabaseSync, clock: Clock) {
    this.#db = db;
    const stored = db.prepare("SELECT now_ms AS nowMs, fence FROM engine").get() as { nowMs: number; fence: number };
    this.#now = createEngineClock(clock, stored.nowMs);
    this.#lastFence = stored.fence;
    this.#stored = stored;
    this.#tables = createTables(db);
    this.#begin = db.prepare("BEGIN IMMEDIATE");
    this.#end = db.prepare("COMMIT");
    this.#store = db.prepare("UPDATE engine SET now_ms = ?, fence = ?");
  }

  async get(keys: readonly Key[]): Promise<{ nowMs: number; found: readonly Found[] }> {
    return this.#use("read records", () => ({ nowMs: this.#now(), found: keys.map((key) => this.#find(key)) }));
  }

  async commit(partition: Partition, batch: readonly Transaction[], claim?: ClaimWant): Promise<Committed> {
    assertBatch(partition, batch, claim);
    const context = commitContext({ partition, nowMs: this.#now(), lastFence: this.#lastFence });
    const committed = this.#use("commit", () => this.#transact(context, batch, claim));
    this.#lastFence = context.lastFence;
    this.#hints.emit(context.hints);
    return committed;
  }

  async range(index: Key, query: RangeQuery): Promise<{ nowMs: number; rows: readonly IndexRow[] }> {
    assertLimit(query.limit);
    const { leases, indexes } = this.#tables;
    const table = isLeasesIndex(index) ? leases : indexes;
    return this.#use("read an index", () => ({ nowMs: this.#now(), rows: table.range(index, query) }));
  }

  async read(log: Key, after: number, limit: number, bytesMax = Number.POSITIVE_INFINITY): Promise<LogEntry[]> {
    assertLimit(limit);
    return this.#use("read a log", () => this.#tables.logs.read(log, after, limit, bytesMax));
  }

  listen(topics: readonly string[], signal: AbortSignal): AsyncIterable<Hint> {
    return this.#hints.listen(topics, signal);
  }

  async close(): Promise<void> {
    this.#hints.close();
    if (!this.#db.isOpen) return;
    try {
      this.#store.run(this.#now(), this.#lastFence);
    } catch {
      // A disk that fails or is full: what is stored is later than it need be, and holds.
    }
    this.#db.close();
  }

  #find(key: Key): Found {
    const { leases, records } = this.#tables;
    const member = memberOfLease(key);
    if (member !== null) return leases.find(key, member);
    const record = records.find(key);
    return { key, stamp: record?.stamp ?? null, value: record?.value ?? null };
  }

  #transact(context: CommitContext, batch: readonly Transaction[], claim: ClaimWant | undefined): Committed {
    this.#begin.run();
    const results: { outcome: Committed["results"][number]["outcome"]; positions: number[] }[] = [];
    for (const { checks, writes, after } of batch) {
      const relied = after === undefined || after.every((index) => results[index]?.outcome === "applied");
      const outcome = relied ? checkAll(this.#tables, context, checks) : "skipped";
      const positions = outcome === "applied" ? writeAll(this.#tables, context, writes) : [];
      results.push({ outcome, positions });
    }
    const claims = claim === undefined ? [] : grantClaim(this.#tables, context, claim);
    writeGathered(this.#tables, context);
    const wrote = claims.length > 0 || results.some(({ outcome }) => outcome === "applied");
    const stored = wrote ? this.#storeAhead(context) : this.#stored;
    this.#end.run();
    this.#stored = stored;
    return { nowMs: context.nowMs, results, claims };
  }

  #storeAhead({ nowMs, lastFence }: CommitContext): { nowMs: number; fence: number } {
    if (nowMs <= this.#stored.nowMs && lastFence <= this.#stored.fence) return this.#stored;
    const aheadMs = nowMs + storedAheadMs;
    const ahead = { nowMs: aheadMs, fence: Math.max(lastFence, aheadMs * 1000) };
    this.#store.run(ahead.nowMs, ahead.fence);
    return ahead;
  }

  /** Whatever goes wrong inside, nothing is left half done. */
  #use<Answer>(attempted: string, act: () => Answer): Answer {
    if (!this.#db.isOpen) throw closedError(attempted);
    try {
      return act();
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw toSaltError(error, attempted);
    }
  }
}
