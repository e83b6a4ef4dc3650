import { SaltError } from "#shared/domain/errors.ts";
import { partitionAt, sha256 } from "#shared/domain/ids.ts";
import type { Random } from "#shared/ports.ts";
import type { BlobStore } from "./blobs/blobs.ts";
import { type Engine, keyIn } from "./engine/engine.ts";

export interface AgreeBlobStoreDeps {
  readonly engine: Engine;
  readonly blobs: BlobStore;
  readonly random: Random;
  /** Where the blobs are, for people: of the first coordinator it is kept, and told to others. */
  readonly place: string;
  /** Takes this store in place of the one that was agreed on. Default false. */
  readonly adopt?: boolean;
}

interface BlobStoreRecord {
  readonly mark: string;
  readonly place: string;
}

const recordKey = keyIn(partitionAt(0), "blob-store");

/**
 * All coordinators of one engine keep their blobs in one store, or what is registered at one is missing at the others. The
 * first puts a mark into its store, and tells the engine which; one whose store lacks it is refused, with `BadRequest`. A
 * copy of the store has the mark too. No record of a blob is kept of it, so that retention does not know it.
 */
export async function agreeBlobStore(deps: AgreeBlobStoreDeps): Promise<void> {
  const found = await findRecord(deps.engine);
  if (found.record !== null && (await isMarked(deps.blobs, found.record))) return;
  if (found.record === null || deps.adopt) await makeRecord(deps, found.stamp);
  const { record } = await findRecord(deps.engine);
  if (record === null || (await isMarked(deps.blobs, record))) return;
  throw new SaltError("BadRequest", `Cannot keep blobs in ${deps.place}: other coordinators have ${record.place}.`, {
    next: "Give the same --s3 and --s3-endpoint as theirs. If that store is lost, or this one has all of it: --adopt-blob-store.",
  });
}

async function findRecord(engine: Engine): Promise<{ stamp: string | null; record: BlobStoreRecord | null }> {
  const [found] = (await engine.get([recordKey])).found;
  return { stamp: found?.stamp ?? null, record: JSON.parse(found?.value ?? "null") as BlobStoreRecord | null };
}

async function isMarked(blobs: BlobStore, { mark }: BlobStoreRecord): Promise<boolean> {
  const [bytes] = await blobs.has([sha256(textOf(mark))]);
  return typeof bytes === "number";
}

/** In place of the record with that stamp, unless another is quicker. The mark is there before it can be asked for. */
async function makeRecord(deps: AgreeBlobStoreDeps, stamp: string | null): Promise<void> {
  const { engine, blobs, random, place } = deps;
  const mark = Buffer.from(random.bytes(12)).toString("hex");
  const text = textOf(mark);
  await blobs.put(sha256(text), text, text.byteLength);
  const value = JSON.stringify({ mark, place } satisfies BlobStoreRecord);
  await engine.commit(partitionAt(0), [
    {
      checks: [{ kind: "stamp", key: recordKey, stamp }],
      writes: [{ kind: "set", key: recordKey, stamp: mark, value }],
    },
  ]);
  const { record } = await findRecord(engine);
  if (record?.mark !== mark) await blobs.delete(sha256(text));
}

const textOf = (mark: string): Buffer => Buffer.from(`By this Salt knows its blob store: ${mark}\n`);
