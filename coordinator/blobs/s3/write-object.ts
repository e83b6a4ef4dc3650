import { type Readable, pipeline as startPipeline } from "node:stream";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { SaltError } from "#shared/domain/errors.ts";
import type { Sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { createVerifier, verifyBytes } from "../verifier.ts";
import { sizeOfObject } from "./read-object.ts";
import { isRace, isThereAlready } from "./s3-error.ts";
import type { S3Store } from "./s3-store.ts";

/** Bytes that are all there go in one request, which the store checks against their SHA-256. */
export async function putBytes(store: S3Store, sha256: Sha256, bytes: Uint8Array, bytesMax: number): Promise<number> {
  const command = new PutObjectCommand({
    ...commonOf(store, sha256),
    Body: bytes,
    ContentLength: bytes.byteLength,
    ChecksumSHA256: Buffer.from(sha256, "hex").toString("base64"),
  });
  verifyBytes(sha256, bytes, bytesMax);
  await create(store, sha256, bytes.byteLength, () => store.client.send(command), limits.blobTriesMax);
  return bytes.byteLength;
}

/**
 * Bytes that are still coming go in parts, at most `limits.blobPartsInFlight` at a time. The verifier fails before the
 * last part is complete, and so before the parts become an object; parts of what failed are removed.
 */
export async function putStream(store: S3Store, sha256: Sha256, source: Readable, bytesMax: number): Promise<number> {
  const verifier = createVerifier(sha256, bytesMax);
  const upload = new Upload({
    client: store.client,
    // The SDK sends the SHA-256 of each part along, for the store to check.
    params: { ...commonOf(store, sha256), Body: verifier.stream, ChecksumAlgorithm: "SHA256" },
    partSize: limits.blobPartBytes,
    queueSize: limits.blobPartsInFlight,
  });
  // What goes wrong with either stream destroys the other with the same error, which is where the upload meets it.
  startPipeline(source, verifier.stream, () => {});
  try {
    await create(store, sha256, verifier.bytes, () => upload.done(), 1);
  } finally {
    verifier.stream.destroy();
    source.destroy();
  }
  return verifier.bytes();
}

const commonOf = (store: S3Store, sha256: Sha256) => ({
  ...store.keyOf(sha256),
  ...store.encryption,
  ...(store.server.createOnly ? { IfNoneMatch: "*" as const } : {}),
});

/** Writes, where being there already is as good as having been written. */
async function create(
  store: S3Store,
  sha256: Sha256,
  bytes: number | (() => number),
  write: () => Promise<unknown>,
  triesMax: number,
): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await store.attempt(`store blob ${sha256}`, async () => {
        try {
          await write();
        } catch (error) {
          if (!isThereAlready(error)) throw isRace(error) ? raced(sha256, error) : error;
          await requireSize(store, sha256, typeof bytes === "number" ? bytes : bytes());
        }
      });
      return;
    } catch (error) {
      if (!(error instanceof SaltError && error.details === race) || tries >= triesMax) throw error;
    }
  }
}

const race = { race: true };
const raced = (sha256: Sha256, cause: unknown): SaltError =>
  new SaltError("Unavailable", `Cannot store blob ${sha256}: another upload of it is being completed.`, {
    cause,
    next: "Try again in a moment; Salt does.",
    details: race,
  });

/** What is there under this digest has the right bytes by S1, unless others write into the bucket. */
async function requireSize(store: S3Store, sha256: Sha256, bytes: number): Promise<void> {
  const size = await sizeOfObject(store, sha256);
  if (size === bytes) return;
  // Deleted between the two requests.
  if (size === null) throw raced(sha256, null);
  const { Bucket, Key } = store.keyOf(sha256);
  throw new SaltError(
    "DigestMismatch",
    `Cannot store blob ${sha256}: the store has ${size} bytes by that name, not ${bytes}.`,
    {
      next: `Delete the object '${Key}' of bucket '${Bucket}', which Salt did not write, and upload again.`,
    },
  );
}
