import type { Partition, Sha256 } from "#shared/domain/ids.ts";
import type { Clock } from "#shared/ports.ts";
import type { BlobStore } from "../blobs/blobs.ts";
import type { Engine } from "../engine/engine.ts";
import { at, type Move, type Mover, writing } from "../engine/move.ts";
import { type BlobRecord, blobKey, blobsIndex, doomedIndex } from "../state/blob-records.ts";
import { blobOwner, letGo } from "../state/blob-refs.ts";
import { dueRows } from "./due-rows.ts";
import { isReferenced } from "./is-referenced.ts";
import { touchBlob } from "./touch-blob.ts";

/**
 * Deletes blobs that nothing refers to: touched 24 hours ago or more → doomed; an hour later → bytes deleted, then the
 * record. Any coordinator does each step; a check on the record makes it happen once.
 *
 * S1  A blob is doomed by a commit that checks that it was not touched since before its references were looked for.
 *     What refers to it meanwhile has touched it (B2), so the commit loses.
 * S2  Bytes are deleted only between two commits: the first says so, and keeps uploads waiting; the second says that it
 *     is done. Who comes after the first and finds the deletion still under way ten minutes later begins it anew.
 * S3  Who has marked a blob and then lost a minute (a paused process) does not go on: another may have.
 */
export interface SweepBlobsDeps {
  readonly engine: Engine;
  readonly mover: Mover;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly partitions: readonly Partition[];
  readonly keepMs: number;
}

export const blobsPerSweepMax = 100;
const doomedForMs = 3600_000;
const deletingForMs = 10 * 60_000;
const deleteWithinMs = 60_000;

interface AboutBlob {
  readonly partition: Partition;
  readonly digest: Sha256;
}

/** Whether there may be more to do at once. */
export async function sweepBlobs(deps: SweepBlobsDeps, partition: Partition): Promise<boolean> {
  const doomed = await sweepAged(deps, partition);
  const deleted = await sweepDoomed(deps, partition);
  return doomed || deleted;
}

async function sweepAged(deps: SweepBlobsDeps, partition: Partition): Promise<boolean> {
  if (deps.keepMs === Infinity) return false;
  const { engine, mover, keepMs } = deps;
  const rows = await dueRows(engine, blobsIndex(partition), { afterMs: keepMs, limit: blobsPerSweepMax });
  const about = rows.map(({ member }): AboutBlob => ({ partition, digest: member as Sha256 }));
  const { found } = await engine.get(about.map(({ digest }) => blobKey(partition, digest)));
  for (const [index, one] of about.entries()) {
    const record = JSON.parse(found[index]?.value ?? "null") as BlobRecord | null;
    const needed = record === null || (await isReferenced(deps, one.digest));
    const touchedAtMs = record?.touchedAtMs ?? 0;
    await mover.move(partition, needed ? lookLater : doomBlob, { ...one, touchedAtMs, keepMs });
  }
  return rows.length === blobsPerSweepMax;
}

interface Seen extends AboutBlob {
  /** Of the record that was there when references were looked for. */
  readonly touchedAtMs: number;
  readonly keepMs: number;
}

const doomBlob: Move<Seen, void> = {
  name: "doomBlob",
  fresh: true,
  reads: ({ partition, digest }) => [blobKey(partition, digest)],
  decide(view, { partition, digest, touchedAtMs, keepMs }) {
    const key = blobKey(partition, digest);
    const record = view.get<BlobRecord>(key);
    const nowMs = Math.round(view.nowMs);
    const unchanged = record?.touchedAtMs === touchedAtMs && record.doomedAtMs === null;
    if (!unchanged || nowMs - touchedAtMs < keepMs) return { transactions: [], answer: () => undefined };
    return writing(
      { kind: "set", key, value: { ...record, doomedAtMs: nowMs } },
      { kind: "unrank", index: blobsIndex(partition), member: digest },
      { kind: "rank", index: doomedIndex(partition), member: digest, score: at(nowMs) },
    );
  },
};

/** A blob that is needed is looked at again after the time for which one that was touched is kept. */
const lookLater: Move<Seen, void> = {
  name: "lookLater",
  fresh: true,
  reads: ({ partition, digest }) => [blobKey(partition, digest)],
  decide(view, { partition, digest }) {
    const record = view.get<BlobRecord>(blobKey(partition, digest));
    const index = blobsIndex(partition);
    const isThere = record !== null && record.doomedAtMs === null;
    const rank = { kind: "rank", index, member: digest, score: at(Math.round(view.nowMs)) } as const;
    return writing(isThere ? rank : { kind: "unrank", index, member: digest });
  },
};

async function sweepDoomed(deps: SweepBlobsDeps, partition: Partition): Promise<boolean> {
  const rows = await dueRows(deps.engine, doomedIndex(partition), { afterMs: doomedForMs, limit: blobsPerSweepMax });
  for (const { member } of rows) await deleteBlob(deps, { partition, digest: member as Sha256 });
  return rows.length === blobsPerSweepMax;
}

async function deleteBlob(deps: SweepBlobsDeps, { partition, digest }: AboutBlob): Promise<void> {
  const { mover, clock } = deps;
  // It cannot be: what refers to a blob has touched it. Looking costs little, and bytes are gone for good.
  if (await isReferenced(deps, digest)) {
    await mover.move(partition, touchBlob, { partition, digest, why: "refer", files: [] });
    return;
  }
  const startMs = clock.monotonicMs();
  const deletingAtMs = await mover.move(partition, beginDeleting, { partition, digest });
  if (deletingAtMs === null || clock.monotonicMs() - startMs > deleteWithinMs) return;
  await deps.blobs.delete(digest);
  await mover.move(partition, endDeleting, { partition, digest, deletingAtMs });
}

/** Answers when the deletion began, which is this one; null when it is not to be, or another is under way. */
const beginDeleting: Move<AboutBlob, number | null> = {
  name: "beginDeleting",
  fresh: true,
  reads: ({ partition, digest }) => [blobKey(partition, digest)],
  decide(view, { partition, digest }) {
    const key = blobKey(partition, digest);
    const record = view.get<BlobRecord>(key);
    const nowMs = Math.round(view.nowMs);
    const due = record && record.doomedAtMs !== null && nowMs - record.doomedAtMs >= doomedForMs;
    const isOthers = record && record.deletingAtMs !== null && nowMs - record.deletingAtMs < deletingForMs;
    if (!due || isOthers) return { transactions: [], answer: () => null };
    const value: BlobRecord = { ...record, deletingAtMs: nowMs };
    return { transactions: [{ checks: [], writes: [{ kind: "set", key, value }] }], answer: () => nowMs };
  },
};

const endDeleting: Move<AboutBlob & { readonly deletingAtMs: number }, void> = {
  name: "endDeleting",
  fresh: true,
  reads: ({ partition, digest }) => [blobKey(partition, digest)],
  decide(view, { partition, digest, deletingAtMs }) {
    const key = blobKey(partition, digest);
    const record = view.get<BlobRecord>(key);
    if (record?.deletingAtMs !== deletingAtMs) return { transactions: [], answer: () => undefined };
    return writing(
      { kind: "delete", key },
      { kind: "unrank", index: doomedIndex(partition), member: digest },
      { kind: "unrank", index: blobsIndex(partition), member: digest },
      ...letGo(partition, blobOwner(digest), record.files),
    );
  },
};
