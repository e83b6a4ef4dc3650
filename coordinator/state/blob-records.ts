import { type Partition, partitionFor, type Sha256 } from "#shared/domain/ids.ts";
import type { Value } from "#shared/protocol/common.ts";
import type { BlobStore } from "../blobs/blobs.ts";
import { type Key, keyIn } from "../engine/engine.ts";

/** What is known of a blob, in the partition that its digest hashes to. */
export interface BlobRecord {
  /** When it was last put, found or referred to; within an hour, for not each time is written. */
  readonly touchedAtMs: number;
  /** Since when it is on its way out: nothing referred to it. */
  readonly doomedAtMs: number | null;
  /** Since when its bytes are being deleted: nothing brings it back before that is over. */
  readonly deletingAtMs: number | null;
  /** Of a value: the files that it names. The blob refers to theirs. */
  readonly files: readonly Sha256[];
}

export const blobPartition = (partitions: number, digest: Sha256): Partition =>
  partitionFor(partitions, "blob", digest);
export const blobKey = (partition: Partition, digest: Sha256): Key => keyIn(partition, `blob/${digest}`);
/** Blobs by when they are next looked at, counted from the time when they were touched. */
export const blobsIndex = (partition: Partition): Key => keyIn(partition, "kept/blob-ages");
/** Doomed blobs by when they were. */
export const doomedIndex = (partition: Partition): Key => keyIn(partition, "doomed");

/** A blob store that knows how old its blobs are. */
export interface KeptBlobs extends BlobStore {
  /**
   * To be awaited before a commit that refers to values: their blobs are then kept for longer than the commit may take,
   * and with them the files that they name. Answers the blobs that are not there (any more).
   */
  touch(values: readonly Value[]): Promise<readonly Sha256[]>;
}
