import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import type { Sha256 } from "#shared/domain/ids.ts";
import type { PresignedRequest, PresignWant } from "../blobs.ts";
import type { S3Store } from "./s3-store.ts";

/**
 * A request that its holder may make in our name, of one blob only. An upload is bound to its bytes by their SHA-256 and
 * number, which are signed headers that the server compares with what arrives, and it cannot replace what is there.
 */
export async function presignObject(
  store: S3Store,
  sha256: Sha256,
  want: PresignWant,
  ttlMs: number,
): Promise<PresignedRequest> {
  const key = store.keyOf(sha256);
  const expiresIn = Math.max(1, Math.floor(ttlMs / 1_000));
  if (want.method === "GET") {
    const url = await store.attempt(`sign a download of blob ${sha256}`, () =>
      getSignedUrl(store.signer, new GetObjectCommand(key), { expiresIn }),
    );
    return { url, headers: {} };
  }
  return await presignUpload(store, key, { sha256, bytes: want.bytes, expiresIn });
}

/** Also of keys that are no blob's: by such the startup check tries whether the server keeps to it. */
export async function presignUpload(
  store: S3Store,
  key: { readonly Bucket: string; readonly Key: string },
  { sha256, bytes, expiresIn }: { sha256: Sha256; bytes: number; expiresIn: number },
): Promise<PresignedRequest> {
  const headers = headersOf(store, sha256);
  const command = new PutObjectCommand({
    ...key,
    ...store.encryption,
    ContentLength: bytes,
    ChecksumSHA256: headers["x-amz-checksum-sha256"],
    ...(store.server.createOnly ? { IfNoneMatch: "*" } : {}),
  });
  // What stays a header is signed as one: it cannot be left out, nor changed.
  const names = Object.keys(headers);
  const url = await store.attempt(`sign an upload of blob ${sha256}`, () =>
    getSignedUrl(store.signer, command, {
      expiresIn,
      unhoistableHeaders: new Set(names),
      signableHeaders: new Set(["host", "content-length", ...names]),
    }),
  );
  return { url, headers };
}

function headersOf(store: S3Store, sha256: Sha256) {
  const { ServerSideEncryption, SSEKMSKeyId } = store.encryption;
  return {
    "x-amz-checksum-sha256": Buffer.from(sha256, "hex").toString("base64"),
    ...(store.server.createOnly ? { "if-none-match": "*" } : {}),
    ...(ServerSideEncryption === undefined ? {} : { "x-amz-server-side-encryption": ServerSideEncryption }),
    ...(SSEKMSKeyId === undefined ? {} : { "x-amz-server-side-encryption-aws-kms-key-id": SSEKMSKeyId }),
  };
}
