import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import type { BlobStore } from "#coordinator/blobs/blobs.ts";
import { SaltError } from "#shared/domain/errors.ts";
import { type Sha256, sha256 } from "#shared/domain/ids.ts";

/** A blob store in memory, for tests whose subject it is not. */
export function memoryBlobs(): BlobStore & { readonly blobs: Map<Sha256, Buffer> } {
  const blobs = new Map<Sha256, Buffer>();
  return {
    blobs,
    async put(digest, bytes, bytesMax) {
      const body = bytes instanceof Uint8Array ? Buffer.from(bytes) : await buffer(bytes);
      if (body.length > bytesMax) throw new SaltError("TooLarge", "Cannot store the blob.");
      if (sha256(body) !== digest) {
        throw new SaltError("DigestMismatch", "Cannot store the blob: its bytes are others.");
      }
      blobs.set(digest, body);
      return { bytes: body.length };
    },
    async get(digest, range) {
      const body = blobs.get(digest);
      if (!body) return null;
      const part = body.subarray(range?.start ?? 0, range?.end ?? body.length);
      return { bytes: part.length, stream: Readable.from([part]) };
    },
    has: async (digests) => digests.map((digest) => blobs.get(digest)?.length ?? null),
    async delete(digest) {
      blobs.delete(digest);
    },
    presign: async () => null,
    close: async () => undefined,
  };
}
