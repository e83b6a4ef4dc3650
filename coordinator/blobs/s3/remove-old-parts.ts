import { AbortMultipartUploadCommand, ListMultipartUploadsCommand } from "@aws-sdk/client-s3";
import { limits } from "#shared/domain/limits.ts";
import type { S3Store } from "./s3-store.ts";

/**
 * Removes the parts of uploads that a coordinator began and never ended, as when it was killed: they are no objects, but
 * are paid for. At most a page of 1,000. Younger ones may be another coordinator's at work.
 */
export async function removeOldParts(store: S3Store): Promise<number> {
  const where = { Bucket: store.bucket, Prefix: store.prefix };
  return await store.attempt(`look for unfinished uploads in bucket '${store.bucket}'`, async () => {
    const { Uploads = [] } = await store.client.send(new ListMultipartUploadsCommand(where));
    const beforeMs = store.clock.nowMs() - limits.blobUploadAgeMs;
    // Only keys that are made as ours are: with an empty prefix the bucket may hold others'.
    const old = Uploads.filter(
      ({ Key, Initiated }) => isBlobKey(store, Key) && Initiated !== undefined && Initiated.getTime() < beforeMs,
    );
    for (const { Key, UploadId } of old) {
      await store.client.send(new AbortMultipartUploadCommand({ Bucket: store.bucket, Key, UploadId }));
    }
    return old.length;
  });
}

const isBlobKey = (store: S3Store, key: string | undefined): boolean =>
  key?.startsWith(store.prefix) === true && /^([0-9a-f]{2})\/\1[0-9a-f]{62}$/.test(key.slice(store.prefix.length));
