import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, lstat, readdir, rename, rm, utimes } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { isSha256, type Sha256 } from "#shared/domain/ids.ts";
import { removeFolder, syncFolder } from "../data-folder.ts";
import { bytesOf, treesOf } from "./pex-files.ts";

/** The cache's files: `<sha256>` for what is whole, `<sha256>.<n>.part` for what is on its way, `<sha256>.tree` for what a PEX was unpacked to. */
export interface BinaryFiles {
  path(sha256: Sha256): string;
  partPath(sha256: Sha256): string;
  /** Removes what a crash left half done; whole files, with what they were unpacked to, from the most to the least recently used. */
  sweep(): Promise<{ sha256: Sha256; bytes: number }[]>;
  /** Makes a verified part the executable, in one step. */
  admit(sha256: Sha256, part: string): Promise<void>;
  /** Whether the file is a regular file that holds exactly these bytes. */
  verify(sha256: Sha256): Promise<boolean>;
  /** Records a use, for the order after a restart. */
  touch(sha256: Sha256, atMs: number): Promise<void>;
  /** The file's own size, in bytes. */
  sizeOf(sha256: Sha256): Promise<{ readonly size: number }>;
  /** A file, and what it was unpacked to. */
  remove(path: string): Promise<void>;
}

export function createBinaryFiles(folder: string): BinaryFiles {
  let parts = 0;
  const path = (sha256: Sha256) => join(folder, sha256);
  return {
    path,
    partPath(sha256) {
      parts += 1;
      return `${path(sha256)}.${parts}.part`;
    },
    async sweep() {
      const found: { sha256: Sha256; bytes: number; atMs: number }[] = [];
      const whole = new Set<string>();
      for (const name of await readdir(folder)) {
        const stat = await lstat(join(folder, name));
        if (!isSha256(name) || !stat.isFile()) continue;
        const file = join(folder, name);
        for (const kept of [name, basename(treesOf(file))]) whole.add(kept);
        found.push({ sha256: name, bytes: stat.size + (await bytesOf(treesOf(file))), atMs: stat.mtimeMs });
      }
      for (const name of await readdir(folder)) if (!whole.has(name)) await removeFolder(join(folder, name));
      return found.sort((a, b) => b.atMs - a.atMs);
    },
    async admit(sha256, part) {
      await chmod(part, 0o500);
      await rename(part, path(sha256));
      await syncFolder(folder);
    },
    async verify(sha256) {
      try {
        if (!(await lstat(path(sha256))).isFile()) return false;
        const hash = createHash("sha256");
        await pipeline(createReadStream(path(sha256)), hash);
        return hash.digest("hex") === sha256;
      } catch {
        return false;
      }
    },
    touch: (sha256, atMs) => utimes(path(sha256), atMs / 1000, atMs / 1000).catch(() => {}),
    sizeOf: (sha256) => lstat(path(sha256)),
    async remove(file) {
      await rm(file, { force: true });
      await removeFolder(treesOf(file));
    },
  };
}
