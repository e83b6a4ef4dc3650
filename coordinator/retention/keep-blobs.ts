import { LRUCache } from "lru-cache";
import { SaltError } from "#shared/domain/errors.ts";
import { isSha256, type Sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Clock } from "#shared/ports.ts";
import type { Value } from "#shared/protocol/common.ts";
import { filesIn, filesInBytes } from "#shared/values/files-in.ts";
import type { BlobStore } from "../blobs/blobs.ts";
import type { Mover } from "../engine/move.ts";
import { blobPartition, type KeptBlobs } from "../state/blob-records.ts";
import { type TouchBlob, touchBlob } from "./touch-blob.ts";

/**
 * The blob store, with a record of each blob's age (C9).
 *
 * B1  A blob that was touched is not doomed for 24 hours, nor deleted for an hour more. Whoever relies on it does so
 *     within these: an upload from before its first byte on, a request from its answer on, a commit from before it.
 * B2  A commit that refers to a blob touches it first when that was last done more than 12 hours ago, so that no commit
 *     lands later than its blob is kept.
 * B3  Nothing is put while its bytes are being deleted: the upload waits, and then begins.
 */
export interface KeepBlobsDeps {
  readonly blobs: BlobStore;
  readonly mover: Mover;
  readonly clock: Clock;
  readonly partitions: number;
}

/** Half of the time for which a touch keeps a blob: the other half is for what relies on it to happen. */
const relyWithinMs = limits.keepBlobsMs / 2;
/** Digests known at most. By their size, for a cache with `max` takes the room of all of them at once. */
const known = { maxSize: 100_000, sizeCalculation: () => 1 };
const waitMs = 200;
const waitsMax = 50;

export function keepBlobs(deps: KeepBlobsDeps): KeptBlobs {
  const { blobs, clock, mover, partitions } = deps;
  /** When, by this coordinator's clock, a blob is known to have been touched. That stays true: touches only get later. */
  const touched = new LRUCache<Sha256, number>(known);
  /** Values whose files are written down. */
  const described = new LRUCache<Sha256, true>(known);
  const isRecent = (digest: Sha256): boolean => {
    const atMs = touched.get(digest);
    return atMs !== undefined && clock.monotonicMs() - atMs < relyWithinMs;
  };

  async function touchOne(digest: Sha256, why: TouchBlob["why"], files: readonly Sha256[]) {
    const askedMs = clock.monotonicMs();
    const partition = blobPartition(partitions, digest);
    const outcome = await mover.move(partition, touchBlob, { partition, digest, why, files });
    if (outcome.kind !== "kept") return outcome.kind;
    touched.set(digest, askedMs - outcome.agoMs);
    if (files.length > 0) described.set(digest, true);
    return outcome.kind;
  }

  /** Before bytes are put: from here on they are kept. */
  async function claim(digest: Sha256, files: readonly Sha256[] = []): Promise<void> {
    for (let waits = 0; (await touchOne(digest, "put", files)) === "deleting"; waits += 1) {
      if (waits === waitsMax) throw beingDeleted(digest);
      await new Promise<void>((resolve) => void clock.after(waitMs, resolve));
    }
  }

  /** Whether a blob is there and stays. One that the store has and nothing is known of is never deleted. */
  async function isKept(digest: Sha256, why: "refer" | "look", files: readonly Sha256[] = []): Promise<boolean> {
    if (isRecent(digest) && (files.length === 0 || described.has(digest))) return true;
    const outcome = await touchOne(digest, why, files);
    if (outcome !== "unknown") return outcome === "kept";
    const [size] = await blobs.has([digest]);
    return size !== null && size !== undefined;
  }

  async function touchValue(value: Value): Promise<readonly Sha256[]> {
    const files = "json" in value ? filesIn(value.json) : (value.files ?? []);
    // What a value says of files may be wrong, and is not its bytes: they are kept if they are there.
    await Promise.all(files.map((file) => isKept(file, "refer")));
    if ("json" in value) return [];
    return (await isKept(value.blob, "refer", files)) ? [] : [value.blob];
  }

  return {
    async put(digest, bytes, bytesMax) {
      if (!isSha256(digest)) return blobs.put(digest, bytes, bytesMax);
      // A value that the coordinator itself stores; of others, who made them says what is in them.
      const files = bytes instanceof Uint8Array ? filesInBytes(bytes) : [];
      await Promise.all(files.map((file) => isKept(file, "refer")));
      await claim(digest, files);
      const put = await blobs.put(digest, bytes, bytesMax);
      // An upload may take longer than what it began with is kept.
      if (isRecent(digest)) return put;
      await claim(digest, files);
      const [size] = await blobs.has([digest]);
      if (size === null) throw beingDeleted(digest);
      return put;
    },

    async has(digests) {
      if (!digests.every(isSha256)) return blobs.has(digests);
      const kept = await Promise.all(digests.map((digest) => isKept(digest, "look")));
      const sizes = await blobs.has(digests);
      return sizes.map((size, index) => (kept[index] ? size : null));
    },

    async touch(values) {
      return (await Promise.all(values.map(touchValue))).flat();
    },

    async presign(digest, want, ttlMs) {
      const request = await blobs.presign(digest, want, ttlMs);
      if (request !== null && want.method === "PUT") await claim(digest);
      return request;
    },

    get: (digest, range) => (range ? blobs.get(digest, range) : blobs.get(digest)),
    delete: (digest) => blobs.delete(digest),
    close: () => blobs.close(),
  };
}

const beingDeleted = (digest: Sha256): SaltError =>
  new SaltError("Unavailable", `Cannot store blob ${digest}: bytes of it from before are being deleted.`, {
    next: "Put it again in a moment.",
  });
