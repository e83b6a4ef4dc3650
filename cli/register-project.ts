import { createReadStream } from "node:fs";
import { SaltError } from "#shared/domain/errors.ts";
import type { RegisteredRelease } from "#shared/protocol/api.ts";
import type { Built, BuiltBinary } from "./build/build-project.ts";
import type { Client } from "./client.ts";

export interface RegisterDeps {
  readonly client: Client;
  /** Called as the upload of a binary goes on, and at its end with `sent` equal to `bytes`. */
  readonly onUpload: (binary: BuiltBinary, sentBytes: number) => void;
  readonly signal?: AbortSignal;
}

/** Uploads the binaries that the coordinator lacks, then registers the release: it appears whole or not at all. */
export async function registerProject(deps: RegisterDeps, built: Built): Promise<RegisteredRelease> {
  const { client } = deps;
  const signal = deps.signal === undefined ? {} : { signal: deps.signal };
  const digests = built.binaries.map((binary) => binary.sha256);
  const { missing } = await client.call("findMissingBlobs", { body: { digests }, ...signal });
  for (const binary of built.binaries.filter(({ sha256 }) => missing.includes(sha256))) {
    await uploadBinary(deps, binary);
  }
  return await client.call("registerRelease", { body: { manifest: built.manifest }, ...signal });
}

async function uploadBinary(deps: RegisterDeps, binary: BuiltBinary): Promise<void> {
  const stream = createReadStream(binary.file, { highWaterMark: 1024 * 1024 });
  let sentBytes = 0;
  stream.on("data", (chunk) => {
    sentBytes += chunk.length;
    deps.onUpload(binary, sentBytes);
  });
  const stored = await deps.client.call("putBlob", {
    params: { sha256: binary.sha256 },
    bytes: { stream, length: binary.bytes },
    ...(deps.signal === undefined ? {} : { signal: deps.signal }),
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
