import type { Partition, Sha256 } from "#shared/domain/ids.ts";
import { at, type Move } from "../engine/move.ts";
import { type BlobRecord, blobKey, blobsIndex, doomedIndex } from "../state/blob-records.ts";
import { blobOwner, refer } from "../state/blob-refs.ts";

/** A blob is not written down as touched more often: what relies on it counts with an hour less. */
const touchEveryMs = 3600_000;

export interface TouchBlob {
  readonly partition: Partition;
  readonly digest: Sha256;
  /**
   * `put`: its bytes are about to be there. `refer`: something is about to need it. `look`: somebody asks whether it is
   * there, and is told no of one that is on its way out, so that it is put anew.
   */
  readonly why: "put" | "refer" | "look";
  /** Files that it is now known to name. They were touched before. */
  readonly files: readonly Sha256[];
}

export type TouchOutcome =
  /** Nothing dooms it within `limits.keepBlobsMs` less `agoMs`. */
  | { readonly kind: "kept"; readonly agoMs: number }
  /** Nothing is known of it. */
  | { readonly kind: "unknown" }
  /** It is on its way out. */
  | { readonly kind: "going" }
  /** Its bytes are being deleted: what is put now may go with them. */
  | { readonly kind: "deleting" };

/** Notes that a blob is used, which takes it off its way out, until its bytes are being deleted. */
export const touchBlob: Move<TouchBlob, TouchOutcome> = {
  name: "touchBlob",
  fresh: true,
  reads: ({ partition, digest }) => [blobKey(partition, digest)],
  decide(view, { partition, digest, why, files }) {
    const key = blobKey(partition, digest);
    const known = view.get<BlobRecord>(key);
    const unwritten = (outcome: TouchOutcome) => ({ transactions: [], answer: () => outcome });
    if (known && known.deletingAtMs !== null) return unwritten({ kind: "deleting" });
    if (known && known.doomedAtMs !== null && why === "look") return unwritten({ kind: "going" });
    if (!known && why !== "put") return unwritten({ kind: "unknown" });
    const nowMs = Math.round(view.nowMs);
    const fresh = files.filter((file) => !known?.files.includes(file));
    if (known && known.doomedAtMs === null && nowMs - known.touchedAtMs < touchEveryMs && fresh.length === 0) {
      return unwritten({ kind: "kept", agoMs: Math.max(0, nowMs - known.touchedAtMs) });
    }
    const all = [...(known?.files ?? []), ...fresh];
    const value: BlobRecord = { touchedAtMs: nowMs, doomedAtMs: null, deletingAtMs: null, files: all };
    return {
      transactions: [
        {
          checks: [],
          writes: [
            { kind: "set", key, value },
            { kind: "rank", index: blobsIndex(partition), member: digest, score: at(nowMs) },
            { kind: "unrank", index: doomedIndex(partition), member: digest },
            ...refer(partition, blobOwner(digest), fresh),
          ],
        },
      ],
      answer: () => ({ kind: "kept", agoMs: 0 }),
    };
  },
};
