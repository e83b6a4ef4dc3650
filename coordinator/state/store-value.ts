import { SaltError } from "#shared/domain/errors.ts";
import { sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Value } from "#shared/protocol/common.ts";
import type { BlobStore } from "../blobs/blobs.ts";

/** JSON text as it is stored: inline up to `limits.inlineBytesMax` bytes, else as a blob. `TooLarge` beyond `valueBytesMax`. */
export async function storeValue(deps: { readonly blobs: BlobStore }, json: string): Promise<Value> {
  const bytes = Buffer.from(json);
  if (bytes.length <= limits.inlineBytesMax) return { json };
  if (bytes.length > limits.valueBytesMax) {
    throw new SaltError(
      "TooLarge",
      `Cannot store the value: it has ${bytes.length} bytes, at most ${limits.valueBytesMax} (valueBytesMax) are allowed.`,
    );
  }
  const digest = sha256(bytes);
  await deps.blobs.put(digest, bytes, limits.valueBytesMax);
  return { blob: digest, bytes: bytes.length };
}
