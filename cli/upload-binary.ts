import { createReadStream, type ReadStream } from "node:fs";
import { SaltError } from "#shared/domain/errors.ts";
import type { SignedUpload } from "#shared/protocol/blobs.ts";
import type { BuiltBinary } from "./build/toolchain.ts";
import type { Client } from "./client.ts";
import { putIntoStore } from "./store-requests.ts";

export interface UploadDeps {
  readonly client: Client;
  /** Called as the upload goes on, and at its end with `sentBytes` equal to the binary's. */
  readonly onUpload: (binary: BuiltBinary, sentBytes: number) => void;
  /** Told why the bytes go through the coordinator, when the store itself was to have them. */
  readonly onDetour?: (why: string) => void;
  readonly signal?: AbortSignal;
}

/** Straight into the blob store where the coordinator says how, else through the coordinator. */
export async function uploadBinary(deps: UploadDeps, binary: BuiltBinary): Promise<void> {
  const upload = await signUpload(deps, binary);
  if (upload.present || (upload.put !== null && (await uploadStraight(deps, binary, upload.put)))) {
    deps.onUpload(binary, binary.bytes);
    return;
  }
  const stored = await deps.client.call("putBlob", {
    params: { sha256: binary.sha256 },
    bytes: { stream: readBinary(deps, binary), length: binary.bytes },
    ...signalOf(deps),
  });
  if (stored.bytes === binary.bytes) return;
  throw new SaltError(
    "DigestMismatch",
    `Cannot register: of ${binary.file} ${stored.bytes} bytes arrived, not ${binary.bytes}.`,
    {
      next: "build again, and register again",
    },
  );
}

async function signUpload(deps: UploadDeps, binary: BuiltBinary): Promise<SignedUpload> {
  const question = { params: { sha256: binary.sha256 }, body: { bytes: binary.bytes }, ...signalOf(deps) };
  try {
    return await deps.client.call("signUpload", question);
  } catch (error) {
    // A coordinator of before there was such a question.
    if (error instanceof SaltError && error.code === "NotFound") return { present: false, put: null };
    throw error;
  }
}

/** Whether the coordinator finds the binary in the store after. */
async function uploadStraight(
  deps: UploadDeps,
  binary: BuiltBinary,
  put: NonNullable<SignedUpload["put"]>,
): Promise<boolean> {
  const { client, onDetour } = deps;
  try {
    const body = { stream: readBinary(deps, binary), bytes: binary.bytes };
    await putIntoStore(put, body, { coordinatorUrl: client.url, ...signalOf(deps) });
  } catch (error) {
    if (!(error instanceof SaltError)) throw error;
    onDetour?.(error.message);
    return false;
  }
  const { missing } = await client.call("findMissingBlobs", { body: { digests: [binary.sha256] }, ...signalOf(deps) });
  if (missing.length > 0) onDetour?.("The coordinator does not find in the blob store what was put there.");
  return missing.length === 0;
}

function readBinary(deps: UploadDeps, binary: BuiltBinary): ReadStream {
  const stream = createReadStream(binary.file, { highWaterMark: 1024 * 1024 });
  let sentBytes = 0;
  stream.on("data", (chunk) => {
    sentBytes += chunk.length;
    deps.onUpload(binary, sentBytes);
  });
  return stream;
}

const signalOf = ({ signal }: UploadDeps) => (signal === undefined ? {} : { signal });
