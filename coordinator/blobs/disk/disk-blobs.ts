import { createWriteStream, mkdirSync, rmSync } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable, pipeline as startPipeline, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Sha256 } from "#shared/domain/ids.ts";
import type { BlobStore } from "../blobs.ts";
import { requireDigest } from "../require-digest.ts";
import { createVerifier } from "../verifier.ts";
import { toSaltError } from "./disk-error.ts";

export interface DiskBlobsDeps {
  /** Made if need be. It belongs to one store at a time: what an earlier one left unfinished is removed. */
  readonly folder: string;
  /** Opens a new file for writing, which is on the disk once its stream has closed. For tests of disks that fail. */
  readonly createFile?: (path: string) => Writable;
}

/**
 * Blobs as files `<first two hex digits>/<digest>`.
 *
 * D1  A file has its name only when all its bytes are on the disk and have that digest.
 * D2  Paths are made of the folder and of digests that were checked to be digests, of nothing else.
 * D3  Whatever breaks off leaves at most a file in `unfinished`, and no longer than until the next start.
 */
export function createDiskBlobs(deps: DiskBlobsDeps): BlobStore {
  const { folder, createFile = createPrivateFile } = deps;
  const unfinished = join(folder, "unfinished");
  try {
    rmSync(unfinished, { recursive: true, force: true });
    mkdirSync(unfinished, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw toSaltError(error, `open the blob folder ${folder}`);
  }
  let uploads = 0;

  return {
    async put(sha256, bytes, bytesMax) {
      const path = pathOf(folder, sha256);
      uploads += 1;
      const temporary = join(unfinished, `${sha256}.${uploads}`);
      const source = bytes instanceof Readable ? bytes : Readable.from([bytes]);
      const verifier = createVerifier(sha256, bytesMax);
      try {
        await pipeline(source, verifier.stream, createFile(temporary));
        await moveInto(folder, path, temporary);
      } catch (error) {
        await rm(temporary, { force: true });
        throw toSaltError(error, `store blob ${sha256}`);
      }
      return { bytes: verifier.bytes() };
    },

    async get(sha256, range) {
      const file = await openIfThere(pathOf(folder, sha256));
      if (file === null) return null;
      try {
        const { size } = await file.stat();
        const start = Math.min(range?.start ?? 0, size);
        const end = Math.max(start, Math.min(range?.end ?? size, size));
        const whole = start === 0 && end === size;
        return { bytes: end - start, stream: await readFrom(file, { start, end, verify: whole ? sha256 : null }) };
      } catch (error) {
        await file.close();
        throw toSaltError(error, `read blob ${sha256}`);
      }
    },

    async has(digests) {
      return Promise.all(digests.map((sha256) => sizeOf(pathOf(folder, sha256))));
    },

    async delete(sha256) {
      const path = pathOf(folder, sha256);
      try {
        await rm(path, { force: true });
      } catch (error) {
        throw toSaltError(error, `delete blob ${sha256}`);
      }
    },

    async presign() {
      return null;
    },

    async close() {},
  };
}

function pathOf(folder: string, sha256: Sha256): string {
  return join(folder, requireDigest(sha256).slice(0, 2), sha256);
}

const createPrivateFile = (path: string): Writable =>
  createWriteStream(path, { flags: "wx", mode: 0o600, flush: true });

/** Gives the file its name, and has the name on the disk too before it answers. */
async function moveInto(folder: string, path: string, temporary: string): Promise<void> {
  const parent = dirname(path);
  const made = await mkdir(parent, { recursive: true, mode: 0o700 });
  await rename(temporary, path);
  await syncFolder(parent);
  if (made !== undefined) await syncFolder(folder);
}

async function syncFolder(path: string): Promise<void> {
  await using handle = await open(path, "r");
  await handle.sync();
}

async function openIfThere(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, "r");
  } catch (error) {
    if (isAbsent(error)) return null;
    throw toSaltError(error, `read blob ${path}`);
  }
}

async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isAbsent(error)) return null;
    throw toSaltError(error, `look for blob ${path}`);
  }
}

const isAbsent = (error: unknown): boolean => (error as { code?: string }).code === "ENOENT";

/** The file's bytes; the file is closed when the stream is. Only whole blobs can be verified. */
async function readFrom(
  file: FileHandle,
  part: { start: number; end: number; verify: Sha256 | null },
): Promise<Readable> {
  const stream = await streamOf(file, part);
  if (part.verify === null) return stream;
  const verifier = createVerifier(part.verify, part.end);
  // What goes wrong with either stream destroys the other with the same error, which is where the reader meets it.
  startPipeline(stream, verifier.stream, () => {});
  return verifier.stream;
}

async function streamOf(file: FileHandle, { start, end }: { start: number; end: number }): Promise<Readable> {
  if (start < end) return file.createReadStream({ start, end: end - 1 });
  await file.close();
  return Readable.from([]);
}
