import type { Readable } from "node:stream";
import type { Sha256 } from "#shared/domain/ids.ts";

/** The bytes port: content-addressed by SHA-256, verified on the way in and on the way out, never changed. */
export interface BlobStore {
  /**
   * Stores the stream's bytes. `DigestMismatch` when they are not those of `sha256`, `TooLarge` beyond `bytesMax`,
   * `NoSpace` when the disk is full; nothing is left of a refused or broken upload. Storing the same twice is one blob.
   */
  put(sha256: Sha256, bytes: Readable | Uint8Array, bytesMax: number): Promise<{ readonly bytes: number }>;
  /**
   * The bytes from `start` (0) to `end` (exclusive; the end of the blob), or null when absent. A whole blob's stream ends
   * with `DigestMismatch` when its bytes are not those of the digest; those of a part cannot be verified.
   */
  get(
    sha256: Sha256,
    range?: { readonly start: number; readonly end?: number },
  ): Promise<{ readonly bytes: number; readonly stream: Readable } | null>;
  /** Sizes in the order asked; null where absent. */
  has(digests: readonly Sha256[]): Promise<readonly (number | null)[]>;
  delete(sha256: Sha256): Promise<void>;
  /**
   * A request by which the bytes can be had, or put, without the coordinator within `ttlMs`; null where the store has
   * none. It says nothing of whether the blob is there. One to put is bound to these bytes: the store refuses others.
   */
  presign(sha256: Sha256, want: PresignWant, ttlMs: number): Promise<PresignedRequest | null>;
  close(): Promise<void>;
}

export type PresignWant = { readonly method: "GET" } | { readonly method: "PUT"; readonly bytes: number };

export interface PresignedRequest {
  readonly url: string;
  /** To be sent as they are: the signature is over them. */
  readonly headers: Readonly<Record<string, string>>;
}
