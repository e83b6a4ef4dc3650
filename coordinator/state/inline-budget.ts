import { LRUCache } from "lru-cache";
import { partitionOf, type RunId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Value } from "#shared/protocol/common.ts";
import type { BlobStore } from "../blobs/blobs.ts";
import { type Engine, type Key, keyIn } from "../engine/engine.ts";
import type { Change } from "./change.ts";
import { storeBlob } from "./store-value.ts";

/** Bytes of values that a run has inline in its records. */
export const inlineKey = (run: RunId): Key => keyIn(partitionOf(run), `count/${run}/inline`);

/** A value so small stays inline whatever a run has, and is not counted: as a blob its reference alone would be as long. */
const alwaysInlineBytes = 256;

const inlineBytesOf = (value: Value): number =>
  "json" in value && value.json.length > alwaysInlineBytes ? value.json.length : 0;

/** Counts values that a transaction stores inline. */
export function countInline(change: Change, run: RunId, ...values: readonly (Value | undefined)[]): void {
  const bytes = values.reduce((sum, value) => sum + (value ? inlineBytesOf(value) : 0), 0);
  if (bytes > 0) change.add(inlineKey(run), bytes);
}

const knownRunsMax = 1_000;

/**
 * C22: values of a run are inline up to `limits.runInlineBytesMax` in all, and blobs beyond that. What a run has is
 * read once and then counted along; several coordinators may each exceed it a little before they know of each other.
 */
export class InlineBudget {
  readonly #engine: Engine;
  readonly #blobs: BlobStore;
  readonly #used = new LRUCache<RunId, { bytes: number }>({ max: knownRunsMax });

  constructor(engine: Engine, blobs: BlobStore) {
    this.#engine = engine;
    this.#blobs = blobs;
  }

  /** The value as it is to be stored: itself, or the blob that now holds it. */
  async store(run: RunId, value: Value): Promise<Value> {
    const bytes = inlineBytesOf(value);
    if (!("json" in value) || bytes === 0) return value;
    const used = this.#used.get(run) ?? (await this.#read(run));
    if (used.bytes + bytes <= limits.runInlineBytesMax) {
      used.bytes += bytes;
      return value;
    }
    return storeBlob(this.#blobs, Buffer.from(value.json));
  }

  async #read(run: RunId): Promise<{ bytes: number }> {
    const { found } = await this.#engine.get([inlineKey(run)]);
    const used = { bytes: Number(found[0]?.value ?? 0) };
    this.#used.set(run, used);
    return used;
  }
}
