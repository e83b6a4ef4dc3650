import { text } from "node:stream/consumers";
import type { CallKey } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { callKeySchema } from "#shared/protocol/common.ts";
import type { BlobStore } from "../blobs/blobs.ts";
import type { RefList } from "../records.ts";

export type ReadRefs =
  | { readonly kind: "keys"; readonly keys: readonly CallKey[] }
  /** A program or agent gave what it should not. */
  | { readonly kind: "bad"; readonly why: string };

/** The keys that a blob lists. Throws what the blob store throws. */
export async function readRefList(blobs: BlobStore, list: RefList): Promise<ReadRefs> {
  const found = await blobs.get(list.blob);
  if (!found) return { kind: "bad", why: `blob ${list.blob}, which lists its refs, does not exist` };
  if (found.bytes > limits.valueBytesMax) {
    found.stream.destroy();
    return { kind: "bad", why: `the list of its refs has more than ${limits.valueBytesMax} bytes` };
  }
  return parseRefList(await text(found.stream));
}

function parseRefList(json: string): ReadRefs {
  const bad = { kind: "bad", why: "the list of its refs is not a JSON array of call keys" } as const;
  let keys: unknown;
  try {
    keys = JSON.parse(json);
  } catch {
    return bad;
  }
  if (!Array.isArray(keys)) return bad;
  if (keys.length > limits.refsPerCallMax) {
    return {
      kind: "bad",
      why: `it has ${keys.length} refs, at most ${limits.refsPerCallMax} (refsPerCallMax) are allowed`,
    };
  }
  return keys.every((key) => callKeySchema.safeParse(key).success) ? { kind: "keys", keys } : bad;
}
