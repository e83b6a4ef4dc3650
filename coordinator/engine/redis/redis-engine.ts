import { assert } from "#shared/domain/assert.ts";
import { type Partition, partitionAt } from "#shared/domain/ids.ts";
import type { Clock, Random } from "#shared/ports.ts";
import { assertBatch, assertLimit } from "../assert-batch.ts";
import {
  type ClaimWant,
  type Committed,
  type Engine,
  type Found,
  type Hint,
  type IndexRow,
  type Key,
  type LogEntry,
  partitionOfKey,
  type RangeQuery,
  type Transaction,
} from "../engine.ts";
import { requireFitRedis } from "./check-redis.ts";
import { decodeCommit } from "./decode-commit.ts";
import { encodeCommit } from "./encode-commit.ts";
import { byPartition, createKeyspace, type Keyspace } from "./keyspace.ts";
import { PassedTime } from "./passed-time.ts";
import { parseRedisUrl } from "./redis-address.ts";
import { isFull } from "./redis-error.ts";
import { RedisHints } from "./redis-hints.ts";
import { RedisLink } from "./redis-link.ts";
import { commitScript } from "./scripts/commit.ts";
import { rangeScript, readScript } from "./scripts/reads.ts";
import { toScript } from "./scripts/script.ts";

export interface RedisEngineDeps {
  /** See `parseRedisUrl`. */
  readonly url: string;
  readonly clock: Clock;
  readonly random: Random;
  /**
   * Another server answers than before, or one that began anew: it may have forgotten what was acknowledged, so what is
   * remembered of it is to be forgotten. The partitions' epochs are raised by their next commits.
   */
  readonly onFailover?: () => void;
  /** Told what is not as it should be, but can be lived with. Default: nothing is checked. */
  readonly warn?: (finding: string) => void;
  /** The time in place of the server's, in milliseconds, for tests. */
  readonly time?: () => number;
}

const commit = toScript(commitScript);
const commitWhenFull = toScript(commitScript.replace("#!lua", "#!lua flags=allow-oom"));
const range = toScript(rangeScript);
const read = toScript(readScript);

/**
 * The engine of production: one Redis or Redis Cluster, used by any number of coordinators.
 *
 * Q1  A commit is one call of one script, whose keys are all of the partition's slot.
 * Q2  A command is sent once. What was not answered in `limits.engineTimeoutMs` is `Unavailable`, its outcome unknown.
 * Q3  Time is the server's TIME, never before what a partition has stored, nor before what has passed by the caller's
 *     monotonic clock since an answer, when the server's clock was set back by more than a second.
 * Q4  The first commit on another server raises the partition's epoch (C16): `epochKey`.
 * Q5  A commit is as durable as Redis is set to be: all of it with `appendfsync always`, but for the last second with
 *     `everysec`.
 *
 * `Unavailable` when there is no connection within 10 s, or, with `warn`, when Redis is set to lose what it is given.
 */
export async function createRedisEngine(deps: RedisEngineDeps): Promise<Engine> {
  const engine = new RedisEngine(deps);
  await engine.connect();
  return engine;
}

export class RedisEngine implements Engine {
  readonly link: RedisLink;
  readonly #deps: RedisEngineDeps;
  readonly #keyspace: Keyspace;
  readonly #hints: RedisHints;
  readonly #time: PassedTime;
  readonly #sharded: string;
  /** Partitions whose stored time has been heard. */
  readonly #met = new Set<Partition>();

  constructor(deps: RedisEngineDeps) {
    const address = parseRedisUrl(deps.url);
    this.#deps = deps;
    this.#keyspace = createKeyspace(address.space);
    this.#time = new PassedTime(deps.clock, deps.time === undefined ? 1_000 : 0);
    this.#sharded = address.cluster ? "1" : "";
    this.link = new RedisLink(address, deps);
    this.#hints = new RedisHints(address, { ...deps, keyspace: this.#keyspace });
  }

  async connect(): Promise<void> {
    try {
      await this.link.connect();
      if (this.#deps.warn !== undefined) await requireFitRedis(this.link, this.#deps.warn);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async get(keys: readonly Key[]): Promise<{ nowMs: number; found: readonly Found[] }> {
    const found: Found[] = new Array(keys.length);
    const groups = byPartition(keys);
    if (groups.size === 0) return { nowMs: await this.#askTime(), found };
    const asked = Array.from(groups, async ([partition, positions]) => {
      const names = positions.map((position) => this.#keyspace.record(keys[position] as Key));
      const isMet = this.#met.has(partition);
      const reply = await this.link.use(partition, "read records", (node) =>
        Promise.all([
          node.send("time", []),
          node.send("mget", names),
          isMet ? null : node.send("hget", [this.#keyspace.engine(partition), "now"]),
        ]),
      );
      const [time, values, stored] = reply as [readonly string[], readonly (string | null)[], string | null];
      positions.forEach((position, index) => {
        found[position] = toFound(keys[position] as Key, values[index] ?? null);
      });
      this.#met.add(partition);
      return this.#hear(time, stored);
    });
    const times = await Promise.all(asked);
    return { nowMs: Math.max(...times), found };
  }

  async commit(partition: Partition, batch: readonly Transaction[], claim?: ClaimWant): Promise<Committed> {
    assertBatch(partition, batch, claim);
    const listening = this.#hints.ready;
    if (listening !== null) await listening;
    const reply = await this.link
      .use(partition, "commit", async (node) => {
        const { server } = node;
        const head = [
          String(this.#time.passedMs() ?? ""),
          String(this.#deps.time?.() ?? ""),
          typeof server === "string" ? server : await server,
          this.#sharded,
        ] as const;
        const { keys, args } = encodeCommit(this.#keyspace, { partition, batch, claim, head });
        return await node.run(commit, keys, args).catch(async (error) => {
          if (!isFull(error) || batch.length === 0 || !batch.every(({ frees }) => frees)) throw error;
          // Refused before it began. A claim takes room: it is for a later commit.
          const without = encodeCommit(this.#keyspace, { partition, batch, claim: undefined, head });
          return await node.run(commitWhenFull, without.keys, without.args);
        });
      })
      .catch(refuseMistakes);
    const committed = decodeCommit(reply as readonly (string | number)[], batch, claim);
    this.#met.add(partition);
    this.#time.hear(committed.nowMs);
    return committed;
  }

  async range(index: Key, query: RangeQuery): Promise<{ nowMs: number; rows: readonly IndexRow[] }> {
    assertLimit(query.limit);
    const partition = partitionOfKey(index);
    const { from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY, after, limit, reverse = false } = query;
    const keys = [this.#keyspace.index(index), this.#keyspace.values(index), this.#keyspace.engine(partition)];
    const args = [boundText(from), boundText(to), String(limit), reverse ? "1" : ""];
    if (after !== undefined) args.push(String(after.score), after.member);
    const reply = await this.link.use(partition, "read an index", (node) => node.run(range, keys, args));
    const [seconds, micros, stored, count, ...rows] = reply as [string, string, string, number, ...(string | null)[]];
    const found = Array.from({ length: count }, (_, at) => ({
      member: rows[2 * at] as string,
      score: Number(rows[2 * at + 1]),
      value: rows[2 * count + at] ?? null,
    }));
    return { nowMs: this.#hear([seconds, micros], stored), rows: reverse ? found.reverse() : found };
  }

  async read(log: Key, after: number, limit: number, bytesMax = Number.POSITIVE_INFINITY): Promise<LogEntry[]> {
    assertLimit(limit);
    const partition = partitionOfKey(log);
    const keys = [this.#keyspace.log(log), this.#keyspace.bases(partition)];
    const bytes = Number.isFinite(bytesMax) ? String(bytesMax) : "";
    const args = [String(Math.max(0, after)), String(limit), bytes, log.slice(partition.length + 2)];
    const reply = await this.link.use(partition, "read a log", (node) => node.run(read, keys, args));
    const [before, ...entries] = reply as readonly [number, ...string[]];
    return entries.map((entry, index) => {
      const blank = entry.indexOf(" ");
      return { position: before + index + 1, atMs: Number(entry.slice(0, blank)), value: entry.slice(blank + 1) };
    });
  }

  listen(topics: readonly string[], signal: AbortSignal): AsyncIterable<Hint> {
    return this.#hints.listen(topics, signal);
  }

  async close(): Promise<void> {
    this.#hints.close();
    await this.link.close();
  }

  async #askTime(): Promise<number> {
    const partition = [...this.#met][0] ?? partitionAt(0);
    const reply = await this.link.use(partition, "read records", (node) => node.send("time", []));
    return this.#hear(reply as readonly string[], null);
  }

  #hear([seconds, micros]: readonly string[], stored: string | null): number {
    const serverMs = this.#deps.time?.() ?? Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
    return this.#time.hear(this.#time.atLeastPassed(Math.max(serverMs, Number(stored ?? 0))));
  }
}

const boundText = (score: number): string => (Number.isFinite(score) ? String(score) : score < 0 ? "-inf" : "+inf");

/** A record is stored as its stamp, a newline and its value; a counter as its number. */
function toFound(key: Key, text: string | null): Found {
  if (text === null) return { key, stamp: null, value: null };
  const line = text.indexOf("\n");
  if (line < 0) return { key, stamp: "counter", value: text };
  return { key, stamp: text.slice(0, line), value: text.slice(line + 1) };
}

/** What the script finds to be a mistake of the code above the port is a broken invariant. */
function refuseMistakes(error: unknown): never {
  const mistaken = /^NOTACOUNTER (\S+)/.exec(error instanceof Error ? error.message : "");
  assert(mistaken === null, `${mistaken?.[1]} is a record and not a counter`);
  throw error;
}
