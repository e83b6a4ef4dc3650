import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import type { BlobStore } from "#coordinator/blobs/blobs.ts";
import { type Sha256, sha256 } from "#shared/domain/ids.ts";

/** A blob store in memory, for tests whose subject it is not. */
export function memoryBlobs(): BlobStore & { readonly blobs: Map<Sha256, Buffer> } {
  const blobs = new Map<Sha256, Buffer>();
  return {
    blobs,
    async put(digest, bytes) {
      const body = bytes instanceof Uint8Array ? Buffer.from(bytes) : await buffer(bytes);
      if (sha256(body) !== digest) throw new Error(`the bytes are not those of ${digest}`);
      blobs.set(digest, body);
      return { bytes: body.length };
    },
    async get(digest) {
      const body = blobs.get(digest);
      return body ? { bytes: body.length, stream: Readable.from([body]) } : null;
    },
    has: async (digests) => digests.map((digest) => blobs.get(digest)?.length ?? null),
    async delete(digest) {
      blobs.delete(digest);
    },
    presign: async () => null,
    close: async () => undefined,
  };
}
