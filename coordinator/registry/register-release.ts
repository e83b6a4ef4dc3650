import { SaltError } from "#shared/domain/errors.ts";
import { type Partition, type Sha256, sha256 } from "#shared/domain/ids.ts";
import type { RegisteredRelease, RegisteredTrigger } from "#shared/protocol/api.ts";
import type { Manifest } from "#shared/protocol/manifest.ts";
import type { BlobStore } from "../blobs/blobs.ts";
import { at, type DraftWrite, type Move, type Mover, type View } from "../engine/move.ts";
import {
  type ProjectRecord,
  projectKey,
  projectsIndex,
  type ReleaseRecord,
  releaseKey,
  releasesIndex,
} from "../records.ts";
import { auditWrite } from "../state/audit.ts";
import { digestsOfRelease, refer } from "../state/blob-refs.ts";
import { supersededIndex } from "../state/kept-records.ts";
import { projectPartition } from "../state/projects.ts";
import { canonicalJson } from "./canonical-json.ts";
import { checkManifest } from "./check-manifest.ts";

/**
 * What the triggers stage does when a project's release changes, in the commit of the registration. `check` throws
 * `InvalidManifest`; `prepare` draws what is random, so that `plan` is a pure decision.
 */
export interface TriggerPlanner {
  check(manifest: Manifest): void;
  prepare(manifest: Manifest): object;
  plan(
    view: View,
    input: PlanInput,
  ): { readonly writes: readonly DraftWrite[]; registered: readonly RegisteredTrigger[] };
}

export interface PlanInput {
  readonly partition: Partition;
  readonly manifest: Manifest;
  readonly release: string;
  readonly prepared: object;
}

export interface RegisterDeps {
  readonly mover: Mover;
  readonly blobs: BlobStore;
  readonly partitions: number;
  readonly triggers: TriggerPlanner;
}

interface Registration {
  readonly id: string;
  readonly manifest: Manifest;
  readonly by: string;
  readonly partition: Partition;
  readonly prepared: object;
  readonly planner: TriggerPlanner;
}

const registerMove: Move<Registration, RegisteredRelease> = {
  name: "registerRelease",
  // What it answers without writing must not rest on a record that another coordinator has changed.
  fresh: true,
  reads: ({ partition, id, manifest }) => [releaseKey(partition, id), projectKey(partition, manifest.project)],
  decide(view, input) {
    const { partition, id, manifest, by } = input;
    const { project } = manifest;
    const known = view.get<ReleaseRecord>(releaseKey(partition, id));
    const before = view.get<ProjectRecord>(projectKey(partition, project));
    const plan = input.planner.plan(view, { partition, manifest, release: id, prepared: input.prepared });
    const answer = (): RegisteredRelease => ({
      release: id,
      project,
      created: known === null,
      triggers: [...plan.registered],
    });
    if (known && before?.release === id) return { transactions: [], answer };
    const nowMs = Math.round(view.nowMs);
    const after: ProjectRecord = { name: project, release: id, updatedAtMs: nowMs };
    const writes: DraftWrite[] = [
      { kind: "set", key: projectKey(partition, project), value: after },
      { kind: "rank", index: projectsIndex(partition), member: project, score: at(0) },
      ...plan.writes,
      { kind: "unrank", index: supersededIndex(partition), member: id },
      ...refer(partition, id, digestsOfRelease(manifest)),
      auditWrite(partition, { actor: by, action: "release.register", object: `${project}/${id}`, before, after }),
    ];
    if (before && before.release !== id) {
      const superseded = { kind: "rank", index: supersededIndex(partition), member: before.release } as const;
      writes.push({ ...superseded, score: at(nowMs), value: project });
    }
    if (!known) {
      const release: ReleaseRecord = { id, manifest, createdAtMs: nowMs, createdBy: by };
      writes.push(
        { kind: "set", key: releaseKey(partition, id), value: release },
        { kind: "rank", index: releasesIndex(partition, project), member: id, score: at(nowMs) },
      );
    }
    return { transactions: [{ checks: [], writes }], answer };
  },
};

/** `rel_` and the beginning of the SHA-256 of what is registered: the same content is the same release. */
export const releaseIdOf = (manifest: Manifest): string => `rel_${sha256(canonicalJson(manifest)).slice(0, 26)}`;

/**
 * Registers a release, makes it the one that new runs of its project use, and replaces the project's triggers, all in
 * one commit after everything was checked. `InvalidManifest`; `DigestMismatch` when binaries are not in the blob store
 * or have another size there.
 */
export async function registerRelease(
  deps: RegisterDeps,
  request: { readonly manifest: unknown; readonly by: string },
): Promise<RegisteredRelease> {
  const manifest = checkManifest(request.manifest);
  deps.triggers.check(manifest);
  await requireBinaries(deps.blobs, manifest);
  const partition = projectPartition(deps.partitions, manifest.project);
  return deps.mover.move(partition, registerMove, {
    id: releaseIdOf(manifest),
    manifest,
    by: request.by,
    partition,
    prepared: deps.triggers.prepare(manifest),
    planner: deps.triggers,
  });
}

async function requireBinaries(blobs: BlobStore, manifest: Manifest): Promise<void> {
  const binaries = Object.entries(manifest.binaries);
  const sizes = await blobs.has(binaries.map(([, { sha256: digest }]) => digest));
  const missing: Sha256[] = [];
  for (const [index, [platform, { sha256: digest, bytes }]] of binaries.entries()) {
    const size = sizes[index] ?? null;
    if (size === null) missing.push(digest);
    else if (size !== bytes) {
      throw new SaltError(
        "DigestMismatch",
        `Cannot register the release: its binary for ${platform} is said to have ${bytes} bytes, the blob store's has ${size}.`,
      );
    }
  }
  if (missing.length === 0) return;
  throw new SaltError(
    "DigestMismatch",
    `Cannot register the release: the blob store lacks ${missing.length} of its ${binaries.length} binaries.`,
    { details: { missing }, next: "Upload each with PUT /v1/blobs/<sha256>, then register again." },
  );
}
