import type { RegisteredRelease } from "#shared/protocol/api.ts";
import type { Built } from "./build/build-project.ts";
import { type UploadDeps, uploadBinary } from "./upload-binary.ts";

/** Uploads the binaries that the coordinator lacks, then registers the release: it appears whole or not at all. */
export async function registerProject(deps: UploadDeps, built: Built): Promise<RegisteredRelease> {
  const { client } = deps;
  const signal = deps.signal === undefined ? {} : { signal: deps.signal };
  const digests = built.binaries.map((binary) => binary.sha256);
  const { missing } = await client.call("findMissingBlobs", { body: { digests }, ...signal });
  for (const binary of built.binaries.filter(({ sha256 }) => missing.includes(sha256))) {
    await uploadBinary(deps, binary);
  }
  return await client.call("registerRelease", { body: { manifest: built.manifest }, ...signal });
}
