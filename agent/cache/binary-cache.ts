import { SaltError } from "#shared/domain/errors.ts";
import type { Sha256 } from "#shared/domain/ids.ts";
import type { AgentDeps } from "../options.ts";
import type { BinaryFiles } from "./binary-files.ts";
import type { BlobClient } from "./blob-client.ts";
import { Recency } from "./recency.ts";

interface Arrival {
  readonly path: Promise<string>;
  readonly abort: AbortController;
  waiters: number;
}

/**
 * The binaries on this machine, by digest.
 *
 * B1  A path is handed out only of bytes verified in this life of the agent: as they arrived, or before their first use.
 * B2  Concurrent needs of one binary share one arrival, which ends early only when nobody waits for it any more.
 * B3  What is pinned stays; the rest is given up, least recently used first, to hold `bytesMax`.
 */
export class BinaryCache {
  readonly #deps: AgentDeps & { blobs: BlobClient; files: BinaryFiles };
  readonly #bytesMax: number;
  readonly #recency: Recency;
  /** Paths of what has been verified in this life. */
  readonly #verified = new Map<Sha256, string>();
  readonly #removed = new Map<Sha256, (() => void)[]>();
  readonly #arrivals = new Map<Sha256, Arrival>();
  /** Bytes of downloads under way, so that two of them do not count on the same room. */
  #arrivingBytes = 0;

  constructor(deps: AgentDeps & { blobs: BlobClient; files: BinaryFiles }, bytesMax: number) {
    this.#deps = deps;
    this.#bytesMax = bytesMax;
    this.#recency = new Recency(bytesMax);
  }

  /** Takes up what an earlier life left. */
  async open(): Promise<void> {
    for (const { sha256, bytes } of (await this.#deps.files.sweep()).reverse()) this.#recency.add(sha256, bytes);
    await this.#removeFiles(this.#recency.makeRoom(0) ?? []);
  }

  /** Most recently used first. */
  digests(): Sha256[] {
    return this.#recency.digests();
  }

  /** The path of a binary that needs no waiting, else null. */
  ready(sha256: Sha256): string | null {
    return this.#verified.get(sha256) ?? null;
  }

  pin(sha256: Sha256): void {
    this.#recency.pin(sha256);
  }

  unpin(sha256: Sha256): void {
    this.#recency.unpin(sha256);
    void this.#deps.files.touch(sha256, this.#deps.clock.nowMs());
  }

  /** The path of the binary, fetched when absent or damaged. Thrown: as by `BlobClient.fetchTo`, or the signal's reason. */
  async acquire(sha256: Sha256, bytes: number, signal: AbortSignal): Promise<string> {
    const ready = this.ready(sha256);
    if (ready !== null) return ready;
    signal.throwIfAborted();
    const arrival = this.#arrivals.get(sha256) ?? this.#arrive(sha256, bytes);
    arrival.waiters += 1;
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    try {
      return await Promise.race([arrival.path, aborted]);
    } finally {
      arrival.waiters -= 1;
      if (arrival.waiters === 0) arrival.abort.abort();
    }
  }

  /** Called once, when the binary is given up. */
  onRemoved(sha256: Sha256, removed: () => void): void {
    this.#removed.set(sha256, [...(this.#removed.get(sha256) ?? []), removed]);
  }

  /**
   * What a binary was unpacked to takes so many bytes beside its own. `NoSpace`, with the binary and all of that removed,
   * when others cannot make room.
   */
  async grow(sha256: Sha256, besideBytes: number): Promise<void> {
    const { size } = await this.#deps.files.sizeOf(sha256);
    this.#recency.resize(sha256, size + besideBytes);
    const evicted = this.#recency.makeRoom(this.#arrivingBytes);
    if (evicted !== null) return await this.#removeFiles(evicted);
    const bytes = this.#recency.bytesOf(sha256);
    this.#recency.remove(sha256);
    await this.#removeFiles([sha256]);
    throw this.#noSpace(sha256, bytes);
  }

  #noSpace(sha256: Sha256, bytes: number): SaltError {
    return new SaltError(
      "NoSpace",
      `Cannot keep binary ${sha256}: its ${bytes} bytes do not fit beside what is in use in a cache of ${this.#bytesMax}.`,
      { next: "Start the agent with a larger --cache-bytes." },
    );
  }

  #arrive(sha256: Sha256, bytes: number): Arrival {
    const abort = new AbortController();
    const path = this.#bring(sha256, bytes, abort.signal).finally(() => this.#arrivals.delete(sha256));
    // The waiters see the error; when all have left there is nobody to.
    path.catch(() => {});
    const arrival = { path, abort, waiters: 0 };
    this.#arrivals.set(sha256, arrival);
    return arrival;
  }

  async #bring(sha256: Sha256, bytes: number, signal: AbortSignal): Promise<string> {
    if (this.#recency.has(sha256)) {
      if (await this.#deps.files.verify(sha256)) return this.#welcome(sha256);
      this.#deps.logger.warn({ sha256 }, "A cached binary is damaged; fetching it again");
      this.#recency.remove(sha256);
      await this.#removeFiles([sha256]);
    }
    const evicted = this.#recency.makeRoom(bytes + this.#arrivingBytes);
    if (evicted === null) throw this.#noSpace(sha256, bytes);
    await this.#removeFiles(evicted);
    const part = this.#deps.files.partPath(sha256);
    this.#arrivingBytes += bytes;
    try {
      await this.#deps.blobs.fetchTo(sha256, part, { bytesMax: bytes, mode: 0o600, signal });
      await this.#deps.files.admit(sha256, part);
      this.#recency.add(sha256, bytes);
      return this.#welcome(sha256);
    } catch (error) {
      await this.#deps.files.remove(part);
      throw error;
    } finally {
      this.#arrivingBytes -= bytes;
    }
  }

  #welcome(sha256: Sha256): string {
    const path = this.#deps.files.path(sha256);
    this.#verified.set(sha256, path);
    return path;
  }

  async #removeFiles(digests: readonly Sha256[]): Promise<void> {
    for (const sha256 of digests) {
      this.#verified.delete(sha256);
      for (const removed of this.#removed.get(sha256) ?? []) removed();
      this.#removed.delete(sha256);
      await this.#deps.files.remove(this.#deps.files.path(sha256));
    }
  }
}
