import { mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import type { Sha256 } from "#shared/domain/ids.ts";
import { type Platform, sha256Schema } from "#shared/protocol/common.ts";

/** What an executable was made from, and how its file looked then. */
const madeSchema = z.object({ inputs: z.string(), sha256: sha256Schema, bytes: z.int(), mtimeMs: z.number() });

const recordFile = (folder: string, platform: Platform): string =>
  path.join(folder, ".salt", "cache", `made-${platform}.json`);

/** The executable made from the same inputs before, if its file is still as it was left. */
export async function readMade(
  folder: string,
  platform: Platform,
  inputs: string,
  file: string,
): Promise<{ sha256: Sha256; bytes: number } | null> {
  try {
    const made = madeSchema.parse(JSON.parse(await readFile(recordFile(folder, platform), "utf8")));
    const { size, mtimeMs } = await stat(file);
    const same = made.inputs === inputs && made.bytes === size && made.mtimeMs === mtimeMs;
    return same ? { sha256: made.sha256, bytes: made.bytes } : null;
  } catch {
    return null;
  }
}

export async function writeMade(
  folder: string,
  platform: Platform,
  made: { inputs: string; sha256: string; bytes: number },
  file: string,
): Promise<void> {
  const { mtimeMs } = await stat(file);
  const record = recordFile(folder, platform);
  await mkdir(path.dirname(record), { recursive: true });
  await writeFile(`${record}.partial`, JSON.stringify({ ...made, mtimeMs }));
  await rename(`${record}.partial`, record);
}
