import { LRUCache } from "lru-cache";
import type { Engine, Key } from "./engine.ts";
import type { HeardTime } from "./heard-time.ts";

/** A record as it was last read or written; stamp and value are null when there is none. */
export interface CachedRecord {
  readonly stamp: string | null;
  readonly value: object | null;
}

/** Counted as sizes, so that no room is taken before there are records: a coordinator has a cache for each partition. */
const records = { maxSize: 30_000, sizeCalculation: () => 1 };

/** Records of a partition lately read or written. Any of them may be stale, for others write too. */
export class RecordCache {
  readonly #engine: Engine;
  readonly #time: HeardTime;
  readonly #records = new LRUCache<Key, CachedRecord>(records);

  constructor(engine: Engine, time: HeardTime) {
    this.#engine = engine;
    this.#time = time;
  }

  get(key: Key): CachedRecord | undefined {
    return this.#records.get(key);
  }

  set(key: Key, record: CachedRecord): void {
    this.#records.set(key, record);
  }

  delete(key: Key): void {
    this.#records.delete(key);
  }

  clear(): void {
    this.#records.clear();
  }

  /** Reads past what is cached, and keeps what came unless it was written or read by others meanwhile. */
  async fetch(keys: readonly Key[]): Promise<{ nowMs: number; records: ReadonlyMap<Key, CachedRecord> }> {
    const before = keys.map((key) => this.#records.peek(key));
    const { nowMs, found } = await this.#engine.get(keys);
    this.#time.hear(nowMs);
    const records = new Map<Key, CachedRecord>();
    for (const [index, { key, stamp, value }] of found.entries()) {
      const record = { stamp, value: value === null ? null : (JSON.parse(value) as object) };
      records.set(key, record);
      if (stamp !== "counter" && this.#records.peek(key) === before[index]) this.#records.set(key, record);
    }
    return { nowMs, records };
  }
}
