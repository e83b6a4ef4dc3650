import { mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";

const prefix = ".partial-";
/** No build takes that long. */
const leftAfterMs = 2 * 3600_000;
let count = 0;

/**
 * Beside the file, so that a rename is all that is left to do; with the ending by which a system knows how to execute it. No
 * other build has the same, for two of one project may be at work at once.
 */
export function partialOf(file: string): string {
  count += 1;
  return path.join(path.dirname(file), `${prefix}${process.pid}-${count}-${path.basename(file)}`);
}

/** Writes a file whole or not at all, and its folder where there is none. */
export async function writeWhole(file: string, text: string): Promise<void> {
  const partial = partialOf(file);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(partial, text);
  await rename(partial, file);
}

/** Removes from a folder what builds that were killed have left there. */
export async function removeLeftPartials(folder: string, nowMs: number): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const file of names.filter((name) => name.startsWith(prefix)).map((name) => path.join(folder, name))) {
    const found = await stat(file).catch(() => null);
    if (found !== null && nowMs - found.mtimeMs > leftAfterMs) await rm(file, { force: true });
  }
}
