import { LRUCache } from "lru-cache";
import type { Sha256 } from "#shared/domain/ids.ts";

/** By their size, for a cache with `max` takes the room of all of them at once. */
const entries = { maxSize: 100_000, sizeCalculation: () => 1 };

/** What the cache holds, in order of last use. Entries in use are never given up; room is made from the rest. */
export class Recency {
  readonly #bytesMax: number;
  readonly #entries = new LRUCache<Sha256, { bytes: number; pins: number }>(entries);
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** From the most to the least recently used. */
  digests(): Sha256[] {
    return [...this.#entries.keys()];
  }

  has(sha256: Sha256): boolean {
    return this.#entries.has(sha256);
  }

  add(sha256: Sha256, bytes: number): void {
    this.remove(sha256);
    this.#entries.set(sha256, { bytes, pins: 0 });
    this.#bytes += bytes;
  }

  /** It takes so many bytes from now on; how it is used stays. */
  resize(sha256: Sha256, bytes: number): void {
    const entry = this.#entries.peek(sha256);
    if (entry === undefined) return;
    this.#bytes += bytes - entry.bytes;
    entry.bytes = bytes;
  }

  bytesOf(sha256: Sha256): number {
    return this.#entries.peek(sha256)?.bytes ?? 0;
  }

  remove(sha256: Sha256): void {
    const entry = this.#entries.peek(sha256);
    if (entry === undefined) return;
    this.#entries.delete(sha256);
    this.#bytes -= entry.bytes;
  }

  pin(sha256: Sha256): void {
    const entry = this.#entries.get(sha256);
    if (entry !== undefined) entry.pins += 1;
  }

  unpin(sha256: Sha256): void {
    const entry = this.#entries.get(sha256);
    if (entry !== undefined && entry.pins > 0) entry.pins -= 1;
  }

  /**
   * Gives up the least recently used entries that are not in use until `bytes` more fit. Null, and nothing given up,
   * when that cannot be.
   */
  makeRoom(bytes: number): Sha256[] | null {
    let free = this.#bytesMax - this.#bytes;
    const given: Sha256[] = [];
    for (const sha256 of this.#entries.rkeys()) {
      const entry = this.#entries.peek(sha256);
      if (free >= bytes) break;
      if (entry === undefined || entry.pins > 0) continue;
      free += entry.bytes;
      given.push(sha256);
    }
    if (free < bytes) return null;
    for (const sha256 of given) this.remove(sha256);
    return given;
  }
}
