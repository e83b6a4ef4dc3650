import type { Partition, Sha256 } from "#shared/domain/ids.ts";
import type { Engine } from "../engine/engine.ts";
import { referenceMember, referenceScore, referencesIndex } from "../state/blob-refs.ts";

/** Whether anything in any partition refers to a blob. */
export async function isReferenced(
  deps: { readonly engine: Engine; readonly partitions: readonly Partition[] },
  digest: Sha256,
): Promise<boolean> {
  const score = referenceScore(digest);
  const before = referenceMember(digest, "");
  const query = { from: score, to: score, after: { score, member: before }, limit: 1 };
  const parts = await Promise.all(
    deps.partitions.map(async (partition) => (await deps.engine.range(referencesIndex(partition), query)).rows),
  );
  return parts.some(([row]) => row?.member.startsWith(before));
}
