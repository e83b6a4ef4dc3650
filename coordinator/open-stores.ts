import { mkdir } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Clock, Random } from "#shared/ports.ts";
import { agreeBlobStore } from "./agree-blob-store.ts";
import { agreedPartitions, agreePartitions } from "./agree-partitions.ts";
import type { BlobStore } from "./blobs/blobs.ts";
import { createDiskBlobs } from "./blobs/disk/disk-blobs.ts";
import type { S3Options } from "./blobs/s3/s3-options.ts";
import type { Engine } from "./engine/engine.ts";
import { createSqliteEngine } from "./engine/sqlite/sqlite-engine.ts";

export interface StoreOptions {
  /** Holds what is not kept elsewhere: `salt.db` and `blobs/`; made when absent. */
  readonly dataFolder: string;
  /** Where else. Default: all is kept in `dataFolder`. */
  readonly stores?: {
    /** URL of a Redis or Redis Cluster that keeps the state in place of `salt.db`. */
    readonly redis?: string;
    /** In how many partitions Redis keeps it. Default: as it does, 16 at the first start. */
    readonly partitions?: number;
    /** A bucket that keeps the bytes in place of `blobs/`. */
    readonly s3?: S3Options;
    /** Keeps blobs here from now on, although the coordinators on that Redis had another place. Default false. */
    readonly adoptBlobStore?: boolean;
  };
}

export interface StoreDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: {
    warn(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
}

export interface Stores {
  readonly engine: Engine;
  readonly blobs: BlobStore;
  readonly partitions: number;
  /** Whether other coordinators may use the same engine. */
  readonly shared: boolean;
  /**
   * Calls back when the engine's server is another than before, and may have forgotten what it had acknowledged: whatever
   * was remembered of it is to be forgotten.
   */
  onFailover(forget: () => void): void;
  close(): Promise<void>;
}

/**
 * The two ports on what was asked for: one file for the state and one folder for the bytes, Redis, a bucket. `BadRequest`
 * when other coordinators on the same Redis have other partitions or another place for blobs.
 */
export async function openStores(options: StoreOptions, deps: StoreDeps): Promise<Stores> {
  await mkdir(options.dataFolder, { recursive: true, mode: 0o700 });
  const forgets: (() => void)[] = [];
  const opened = await openEngine(options, deps, () => {
    for (const forget of forgets) forget();
  });
  const blobs = await openBlobs(options, deps).catch(async (error: unknown) => {
    await opened.engine.close();
    throw error;
  });
  const close = async () => {
    await blobs.close();
    await opened.engine.close();
  };
  if (opened.shared) {
    forgets.push(() => void tellIfEmpty(opened.engine, deps.logger));
    const agreeing = { ...deps, engine: opened.engine, blobs, place: placeOfBlobs(options) };
    const agreed = agreeBlobStore({ ...agreeing, adopt: options.stores?.adoptBlobStore ?? false });
    await agreed.catch(async (error: unknown) => {
      await close();
      throw error;
    });
  }
  return {
    ...opened,
    blobs,
    onFailover: (forget) => void forgets.push(forget),
    close,
  };
}

async function openEngine(
  { dataFolder, stores = {} }: StoreOptions,
  { clock, random, logger }: StoreDeps,
  failedOver: () => void,
): Promise<Pick<Stores, "engine" | "partitions" | "shared">> {
  if (stores.redis === undefined) {
    return { engine: createSqliteEngine({ file: join(dataFolder, "salt.db"), clock }), partitions: 1, shared: false };
  }
  // Loaded only where it is used: the command line starts without it.
  const { createRedisEngine } = await import("./engine/redis/redis-engine.ts");
  const engine = await createRedisEngine({
    url: stores.redis,
    clock,
    random,
    warn: (finding) => logger.warn({}, finding),
    onFailover: () => {
      logger.warn({}, "another Redis server answers than before: leases granted before it are void");
      failedOver();
    },
  });
  try {
    return { engine, partitions: await agreePartitions(engine, stores.partitions), shared: true };
  } catch (error) {
    await engine.close();
    throw error;
  }
}

/** A Redis that is told to keep an append-only file and finds none begins empty, whatever else it has. */
async function tellIfEmpty(engine: Engine, logger: StoreDeps["logger"]): Promise<void> {
  // One that cannot be asked is told of by whatever else asks it.
  if ((await agreedPartitions(engine).catch(() => 0)) !== null) return;
  const next = "Restore a backup (docs/operations.md), or start the coordinators again to begin anew.";
  logger.error({ next }, "Redis is empty, and was not: runs, releases and tokens are gone");
}

function placeOfBlobs(options: StoreOptions): string {
  const { s3 } = options.stores ?? {};
  if (s3 === undefined) return `the folder ${blobsFolder(options)} of ${hostname()}`;
  return s3.endpoint === undefined ? s3.url : `${s3.url} at ${s3.endpoint}`;
}

const blobsFolder = ({ dataFolder }: StoreOptions): string => join(dataFolder, "blobs");

async function openBlobs(options: StoreOptions, deps: StoreDeps): Promise<BlobStore> {
  const { stores = {} } = options;
  if (stores.s3 === undefined) return createDiskBlobs({ folder: blobsFolder(options) });
  const { createS3Blobs } = await import("./blobs/s3/s3-blobs.ts");
  const blobs = await createS3Blobs(stores.s3, deps);
  for (const { finding, next } of blobs.findings.warnings) deps.logger.warn({ next }, finding);
  return blobs;
}
