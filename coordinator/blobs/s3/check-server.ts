import { DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { SaltError } from "#shared/domain/errors.ts";
import { sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Random } from "#shared/ports.ts";
import { presignUpload } from "./presign-object.ts";
import { isAbsent, statusOf } from "./s3-error.ts";
import type { S3Server, S3Store } from "./s3-store.ts";

/** Each is what goes wrong or less well, and what to do. */
export interface S3Findings extends S3Server {
  readonly warnings: readonly { readonly finding: string; readonly next: string }[];
}

const expiresIn = 60;

/**
 * Whether the bucket can be written, read and deleted from, found out by doing it, and what its server does of that in
 * which servers differ. Leaves nothing. Thrown: `Unavailable`, which says what to do.
 */
export async function checkServer(store: S3Store, random: Random): Promise<S3Findings> {
  const name = `${store.prefix}salt-check/${Buffer.from(random.bytes(12)).toString("hex")}`;
  const written = { Bucket: store.bucket, Key: `${name}-1` };
  const refused = { Bucket: store.bucket, Key: `${name}-2` };
  const warnings: S3Findings["warnings"][number][] = [];
  try {
    const createOnly = await tryCreateOnly(store, written);
    if (!createOnly) {
      warnings.push({
        finding: "the blob store does not honour If-None-Match: *, so that a blob may be written again over itself",
        next: "Nothing is lost by it, as the bytes are the same. A newer version of the server may know it.",
      });
    }
    await requireReadable(store, written);
    await requireAbsence(store, refused);
    const bindsUploads = await tryBoundUpload({ ...store, server: { ...store.server, createOnly } }, refused);
    if (!bindsUploads) {
      warnings.push({
        finding: "the blob store does not compare uploads with their signed SHA-256, so all go through the coordinator",
        next: "Use a server that knows x-amz-checksum-sha256, if uploads are much.",
      });
    }
    return { createOnly, bindsUploads, warnings };
  } finally {
    await removeChecks(store, [written, refused], warnings);
  }
}

interface ObjectKey {
  readonly Bucket: string;
  readonly Key: string;
}

const text = "Salt writes this to see whether it can.";
const otherText = "This must never be seen in its place.";

async function tryCreateOnly(store: S3Store, key: ObjectKey): Promise<boolean> {
  const write = (Body: string, condition: { IfNoneMatch?: "*" }) =>
    store.client.send(new PutObjectCommand({ ...key, Body, ...store.encryption, ...condition }));
  return await store.attempt(`write into bucket '${store.bucket}'`, async () => {
    try {
      await write(text, { IfNoneMatch: "*" });
    } catch (error) {
      // "A header you provided implies functionality that is not implemented."
      if (statusOf(error) !== 501) throw error;
      await write(text, {});
      return false;
    }
    try {
      await write(otherText, { IfNoneMatch: "*" });
    } catch (error) {
      if (statusOf(error) === 412) return true;
      throw error;
    }
    await write(text, {});
    return false;
  });
}

async function requireReadable(store: S3Store, key: ObjectKey): Promise<void> {
  const read = await store.attempt(`read from bucket '${store.bucket}'`, async () => {
    const { Body } = await store.client.send(new GetObjectCommand(key));
    return await Body?.transformToString();
  });
  if (read === text) return;
  throw new SaltError("Unavailable", `Cannot use bucket '${store.bucket}': it gives other bytes than it was given.`, {
    next: "Look for what changes objects between Salt and the store.",
    retryable: false,
  });
}

/** Without s3:ListBucket, S3 answers 403 for what is not there: nobody could be told from it that a blob is missing. */
async function requireAbsence(store: S3Store, key: ObjectKey): Promise<void> {
  await store.attempt(`look for what is not in bucket '${store.bucket}'`, async () => {
    try {
      await store.client.send(new HeadObjectCommand(key));
    } catch (error) {
      if (!isAbsent(error)) throw error;
    }
  });
}

/** Whether other bytes, and bytes without the signed digest, are refused. */
async function tryBoundUpload(store: S3Store, key: ObjectKey): Promise<boolean> {
  // To the address that the coordinator has: agents' may not be reachable from here.
  const here = { ...store, signer: store.client };
  const signed = await presignUpload(here, key, { sha256: sha256(text), bytes: otherText.length, expiresIn });
  const { "x-amz-checksum-sha256": _, ...without } = signed.headers;
  const common = { method: "PUT", body: otherText, redirect: "error" } as const;
  const answers = await store.attempt(`try a signed upload to bucket '${store.bucket}'`, () =>
    Promise.all(
      [signed.headers, without].map((headers) =>
        fetch(signed.url, { ...common, headers, signal: AbortSignal.timeout(limits.blobIdleMs) }),
      ),
    ),
  );
  for (const answer of answers) await answer.body?.cancel();
  return answers.every((answer) => answer.status >= 400 && answer.status < 500);
}

async function removeChecks(store: S3Store, keys: readonly ObjectKey[], warnings: S3Findings["warnings"][number][]) {
  try {
    for (const key of keys) await store.client.send(new DeleteObjectCommand(key));
  } catch (error) {
    warnings.push({
      finding: `nothing can be deleted from bucket '${store.bucket}' (${(error as Error).name})`,
      next: "Allow s3:DeleteObject: without it blobs that nobody needs stay for ever.",
    });
  }
}
