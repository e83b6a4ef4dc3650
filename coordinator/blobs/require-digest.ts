import { SaltError } from "#shared/domain/errors.ts";
import { isSha256, type Sha256 } from "#shared/domain/ids.ts";

/** Stores make paths and keys of digests, so what is not one never gets that far, whatever its type says. */
export function requireDigest(sha256: Sha256): Sha256 {
  if (isSha256(sha256)) return sha256;
  throw new SaltError("BadRequest", "Cannot find a blob: its name is not a SHA-256 in 64 lower-case hex digits.", {
    next: "Name the blob by the SHA-256 of its bytes.",
  });
}
