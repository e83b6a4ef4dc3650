import { createHash } from "node:crypto";
import { Transform } from "node:stream";
import { SaltError } from "#shared/domain/errors.ts";
import type { Sha256 } from "#shared/domain/ids.ts";

/**
 * Passes bytes on, and fails at the end with `DigestMismatch` when they are not those of `sha256`, or with `TooLarge`
 * as soon as they are more than `bytesMax`.
 */
export function createVerifier(sha256: Sha256, bytesMax: number): { stream: Transform; bytes: () => number } {
  const hash = createHash("sha256");
  let bytes = 0;
  const stream = new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      bytes += chunk.byteLength;
      if (bytes > bytesMax) {
        done(
          new SaltError("TooLarge", `Cannot take blob ${sha256}: it has more than ${bytesMax} bytes.`, {
            next: `Send at most ${bytesMax} bytes.`,
          }),
        );
        return;
      }
      hash.update(chunk);
      done(null, chunk);
    },
    flush(done) {
      const actual = hash.digest("hex");
      if (actual === sha256) return done();
      done(
        new SaltError("DigestMismatch", `Cannot take blob ${sha256}: its bytes have the digest ${actual}.`, {
          next: "Send the blob again; if its bytes came from the store, the store's disk has damaged them.",
        }),
      );
    },
  });
  return { stream, bytes: () => bytes };
}
