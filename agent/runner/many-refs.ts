import type { Lease } from "#shared/protocol/agent.ts";
import type { Value } from "#shared/protocol/common.ts";
import type { ProgramValue, Work } from "#shared/protocol/task.ts";
import type { Attempt } from "../leases/attempt.ts";
import type { Values } from "./program-values.ts";

/** Downloads at the same time for one attempt. */
const downloadsMax = 16;

/**
 * Brings the outputs of a call's many refs as one file. An inline value reads the same on both sides, so that the file is
 * looked into only when some of them are blobs, which become files of their own.
 */
export async function bringManyRefs(
  values: Values,
  attempt: Attempt,
  many: NonNullable<Lease["manyRefs"]>,
): Promise<NonNullable<Work["manyRefs"]>> {
  const file = await values.bringBlob(attempt, many.blob, many.bytes);
  if (many.blobs === 0) return file;
  return values.rewrite(file.path, async (text) => {
    const refs = JSON.parse(text) as Record<string, Value | ProgramValue>;
    const blobs = Object.entries(refs).filter((entry): entry is [string, Value] => "blob" in entry[1]);
    const downloads = Array.from({ length: downloadsMax }, async () => {
      for (let next = blobs.pop(); next; next = blobs.pop()) refs[next[0]] = await values.bring(attempt, next[1]);
    });
    await Promise.all(downloads);
    return JSON.stringify(refs);
  });
}
