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
  return storeBlob(deps.blobs, bytes);
}

/** The text of a value, as a blob. */
export async function storeBlob(blobs: BlobStore, text: Buffer): Promise<Value> {
  const digest = sha256(text);
  await blobs.put(digest, text, limits.valueBytesMax);
  return { blob: digest, bytes: text.length };
}

/** A value as it is stored: which files it names is kept with its blob. */
export const withoutFiles = (value: Value): Value =>
  "json" in value ? value : { blob: value.blob, bytes: value.bytes };
