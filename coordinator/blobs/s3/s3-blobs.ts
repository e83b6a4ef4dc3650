import { Readable } from "node:stream";
import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import { limits } from "#shared/domain/limits.ts";
import type { Random } from "#shared/ports.ts";
import type { BlobStore } from "../blobs.ts";
import { checkServer, type S3Findings } from "./check-server.ts";
import { createGate } from "./gate.ts";
import { presignObject } from "./presign-object.ts";
import { readObject, sizeOfObject } from "./read-object.ts";
import { removeOldParts } from "./remove-old-parts.ts";
import type { S3Options } from "./s3-options.ts";
import { createS3Store, type S3Store, type S3StoreDeps } from "./s3-store.ts";
import { putBytes, putStream } from "./write-object.ts";

export interface S3BlobsDeps extends S3StoreDeps {
  readonly random: Random;
}

export interface S3Blobs extends BlobStore {
  /** As found when it was opened. */
  readonly findings: S3Findings;
}

/**
 * Blobs as objects `<prefix><first two hex digits>/<digest>` of a bucket.
 *
 * S1  An object has its name only when all its bytes are in the store and have that digest: whole by one request, or by
 *     the completion of its parts, which is the last thing done and only after the digest was found right.
 * S2  Objects are created, never replaced, where the server can tell; where it cannot, by the same bytes.
 * S3  Keys are made of the prefix and of digests that were checked to be digests, of nothing else.
 * S4  What breaks off leaves at most parts, which are removed at once, or a day later if the coordinator was killed.
 * S5  Bytes on their way take at most `blobPartBytes` × (`blobPartsInFlight` + 1) × `blobUploadsMax` of memory, beside
 *     those that callers hold already.
 */
export async function createS3Blobs(options: S3Options, deps: S3BlobsDeps): Promise<S3Blobs> {
  const store = createS3Store(options, deps);
  try {
    const findings = await checkSoon(options, deps);
    Object.assign(store.server, { createOnly: findings.createOnly, bindsUploads: findings.bindsUploads });
    return blobsOf(store, { ...findings, warnings: [...findings.warnings, ...(await tidy(store))] });
  } catch (error) {
    store.client.destroy();
    store.signer.destroy();
    throw error;
  }
}

/** On connections of its own, which are given up sooner: a store that does not answer is to be told of, not waited for. */
async function checkSoon(options: S3Options, deps: S3BlobsDeps): Promise<S3Findings> {
  const idleMs = Math.min(deps.idleMs ?? limits.blobIdleMs, limits.blobCheckIdleMs);
  const store = createS3Store(options, { ...deps, idleMs, triesMax: limits.blobCheckTriesMax });
  try {
    return await checkServer(store, deps.random);
  } finally {
    store.client.destroy();
    store.signer.destroy();
  }
}

async function tidy(store: S3Store): Promise<S3Findings["warnings"]> {
  try {
    await removeOldParts(store);
    return [];
  } catch (error) {
    return [
      {
        finding: `unfinished uploads of coordinators that were killed cannot be removed: ${(error as Error).message}`,
        next: "Allow s3:ListBucketMultipartUploads, or give the bucket a rule AbortIncompleteMultipartUpload.",
      },
    ];
  }
}

function blobsOf(store: S3Store, findings: S3Findings): S3Blobs {
  const streams = createGate(limits.blobUploadsMax);
  const looks = createGate(limits.blobLooksMax);
  return {
    findings,

    async put(sha256, bytes, bytesMax) {
      if (!(bytes instanceof Readable)) return { bytes: await putBytes(store, sha256, bytes, bytesMax) };
      store.keyOf(sha256);
      // It may break off while it waits, when nobody listens to it yet.
      bytes.on("error", () => {});
      return { bytes: await streams(() => putStream(store, sha256, bytes, bytesMax)) };
    },

    get: async (sha256, range) => readObject(store, sha256, range),

    has: async (digests) => Promise.all(digests.map((sha256) => looks(() => sizeOfObject(store, sha256)))),

    async delete(sha256) {
      const command = new DeleteObjectCommand(store.keyOf(sha256));
      await store.attempt(`delete blob ${sha256}`, () => store.client.send(command));
    },

    async presign(sha256, want, ttlMs) {
      if (want.method === "PUT" && !store.server.bindsUploads) return null;
      return await presignObject(store, sha256, want, ttlMs);
    },

    async close() {
      store.client.destroy();
      store.signer.destroy();
    },
  };
}
