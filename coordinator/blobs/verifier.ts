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
        done(tooLarge(sha256, bytesMax));
        return;
      }
      hash.update(chunk);
      done(null, chunk);
    },
    flush(done) {
      const actual = hash.digest("hex");
      done(actual === sha256 ? null : mismatch(sha256, actual));
    },
  });
  return { stream, bytes: () => bytes };
}

/** The same of bytes that are all there. */
export function verifyBytes(sha256: Sha256, bytes: Uint8Array, bytesMax: number): void {
  if (bytes.byteLength > bytesMax) throw tooLarge(sha256, bytesMax);
  const actual = createHash("sha256").update(bytes).digest("hex");
  if (actual !== sha256) throw mismatch(sha256, actual);
}

const tooLarge = (sha256: Sha256, bytesMax: number): SaltError =>
  new SaltError("TooLarge", `Cannot take blob ${sha256}: it has more than ${bytesMax} bytes.`, {
    next: `Send at most ${bytesMax} bytes.`,
  });

const mismatch = (sha256: Sha256, actual: string): SaltError =>
  new SaltError("DigestMismatch", `Cannot take blob ${sha256}: its bytes have the digest ${actual}.`, {
    next: "Send the blob again; if its bytes came from the store, the store has damaged them.",
  });
