import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#shared/ports.ts";
import type { BlobStore } from "./blobs/blobs.ts";
import { createDiskBlobs } from "./blobs/disk/disk-blobs.ts";
import type { Engine } from "./engine/engine.ts";
import { createSqliteEngine } from "./engine/sqlite/sqlite-engine.ts";

export interface StoreOptions {
  /** Holds `salt.db` and `blobs/`; made when absent. */
  readonly dataFolder: string;
}

export interface Stores {
  readonly engine: Engine;
  readonly blobs: BlobStore;
  readonly partitions: number;
  /** Whether other coordinators may use the same engine. */
  readonly shared: boolean;
  close(): Promise<void>;
}

/** The two ports on what was asked for: one file for the state, one folder for the bytes. */
export async function openStores(options: StoreOptions, { clock }: { readonly clock: Clock }): Promise<Stores> {
  await mkdir(options.dataFolder, { recursive: true, mode: 0o700 });
  const engine = await createSqliteEngine({ file: join(options.dataFolder, "salt.db"), clock });
  const blobs = await createDiskBlobs({ folder: join(options.dataFolder, "blobs") });
  return {
    engine,
    blobs,
    partitions: 1,
    shared: false,
    async close() {
      await blobs.close();
      await engine.close();
    },
  };
}
