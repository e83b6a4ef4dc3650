import { buffer } from "node:stream/consumers";
import { LRUCache } from "lru-cache";
import type { Sha256 } from "#shared/domain/ids.ts";
import type { BlobStore } from "../blobs/blobs.ts";
import { unpackLog } from "../state/log-archive.ts";

/** The entries of an archived log as stored; none when it is not there (any more). */
export type ReadArchive = (blob: Sha256) => Promise<readonly string[]>;

/** Of archives that were read lately: one is read many times, some rows at a time. */
const cachedBytesMax = 32 * 1024 * 1024;

export function createReadArchive(blobs: BlobStore): ReadArchive {
  const cache = new LRUCache<Sha256, readonly string[]>({
    maxSize: cachedBytesMax,
    sizeCalculation: (entries) => entries.reduce((sum, entry) => sum + entry.length + 32, 1),
  });
  return async (blob) => {
    const cached = cache.get(blob);
    if (cached) return cached;
    const found = await blobs.get(blob);
    if (!found) return [];
    const entries = await unpackLog(await buffer(found.stream));
    cache.set(blob, entries);
    return entries;
  };
}
