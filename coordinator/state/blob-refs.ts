import type { Partition, RunId, Sha256 } from "#shared/domain/ids.ts";
import type { Value } from "#shared/protocol/common.ts";
import type { Manifest } from "#shared/protocol/manifest.ts";
import { filesIn } from "#shared/values/files-in.ts";
import { type Key, keyIn } from "../engine/engine.ts";
import { at, type DraftWrite } from "../engine/move.ts";
import type { RefList } from "../records.ts";

/**
 * C9: who needs a blob. A reference is a member `<digest>/<owner>` of an index in the owner's partition, written by the
 * commit that makes the owner need it, and taken away by the commit that ends the owner. Owners are runs (all that their
 * records and journals name), releases, events, the archived logs of tasks, and blobs that hold values with files in them.
 */
export const referencesIndex = (partition: Partition): Key => keyIn(partition, "kept/blobs");
/** The digests that a run refers to, so that they are found when it is removed. */
export const ownedIndex = (partition: Partition, run: RunId): Key => keyIn(partition, `kept/owns/${run}`);

/** Rows of one digest stand together: a look-up reads these and no other. */
export const referenceScore = (digest: Sha256): number => Number.parseInt(digest.slice(0, 12), 16);
export const referenceMember = (digest: Sha256, owner: string): string => `${digest}/${owner}`;

export const refer = (partition: Partition, owner: string, digests: readonly Sha256[]): DraftWrite[] =>
  digests.map((digest) => ({
    kind: "rank",
    index: referencesIndex(partition),
    member: referenceMember(digest, owner),
    score: at(referenceScore(digest)),
  }));

export const letGo = (partition: Partition, owner: string, digests: readonly Sha256[]): DraftWrite[] =>
  digests.map((digest) => ({
    kind: "unrank",
    index: referencesIndex(partition),
    member: referenceMember(digest, owner),
  }));

export const referOfRun = (partition: Partition, run: RunId, digests: readonly Sha256[]): DraftWrite[] => [
  ...refer(partition, run, digests),
  ...digests.map(
    (digest) => ({ kind: "rank", index: ownedIndex(partition, run), member: digest, score: at(0) }) as const,
  ),
];

export const logOwner = (task: string): string => `log:${task}`;
export const blobOwner = (digest: Sha256): string => `blob:${digest}`;

/** The blobs that values need: those that hold them, and the files of those that are inline. */
export function digestsOf(...values: readonly (Value | RefList | null | undefined)[]): Sha256[] {
  const digests = new Set<Sha256>();
  for (const value of values) {
    if (!value) continue;
    for (const digest of "json" in value ? filesIn(value.json) : [value.blob]) digests.add(digest);
  }
  return [...digests];
}

/** The blobs that a release needs: its binaries. */
export const digestsOfRelease = (manifest: Manifest): Sha256[] => [
  ...new Set(Object.values(manifest.binaries).map(({ sha256 }) => sha256)),
];
