import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, lstat, readdir, rename, rm, utimes } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { isSha256, type Sha256 } from "#shared/domain/ids.ts";
import { syncFolder } from "../data-folder.ts";

/** The cache's files: `<sha256>` for what is whole, `<sha256>.<n>.part` for what is on its way. */
export interface BinaryFiles {
  path(sha256: Sha256): string;
  partPath(sha256: Sha256): string;
  /** Removes what a crash left half done; whole files from the most to the least recently used. */
  sweep(): Promise<{ sha256: Sha256; bytes: number }[]>;
  /** Makes a verified part the executable, in one step. */
  admit(sha256: Sha256, part: string): Promise<void>;
  /** Whether the file is a regular file that holds exactly these bytes. */
  verify(sha256: Sha256): Promise<boolean>;
  /** Records a use, for the order after a restart. */
  touch(sha256: Sha256, atMs: number): Promise<void>;
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
      for (const name of await readdir(folder)) {
        const stat = await lstat(join(folder, name));
        if (isSha256(name) && stat.isFile()) found.push({ sha256: name, bytes: stat.size, atMs: stat.mtimeMs });
        else await rm(join(folder, name), { recursive: true, force: true });
      }
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
    remove: (file) => rm(file, { force: true }),
  };
}
