import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { type Platform, sha256Schema } from "#shared/protocol/common.ts";
import { pythonNeedSchema } from "#shared/protocol/manifest.ts";
import { writeWhole } from "./partial-of.ts";
import type { BuiltBinary } from "./toolchain.ts";

/** What an executable was made from, and how its file looked then. */
const madeSchema = z.object({
  inputs: z.string(),
  sha256: sha256Schema,
  bytes: z.int(),
  mtimeMs: z.number(),
  python: pythonNeedSchema.exactOptional(),
});

type Made = Pick<BuiltBinary, "sha256" | "bytes" | "python">;

const recordFile = (folder: string, platform: Platform): string =>
  path.join(folder, ".salt", "cache", `made-${platform}.json`);

/** The executable made from the same inputs before, if its file is still as it was left. */
export async function readMade(folder: string, platform: Platform, inputs: string, file: string): Promise<Made | null> {
  try {
    const read = madeSchema.parse(JSON.parse(await readFile(recordFile(folder, platform), "utf8")));
    const { size, mtimeMs } = await stat(file);
    const { inputs: madeFrom, mtimeMs: madeAtMs, ...made } = read;
    return madeFrom === inputs && made.bytes === size && madeAtMs === mtimeMs ? made : null;
  } catch {
    return null;
  }
}

/** `mtimeMs`: of the file as it was made. Another build may have put its own in place meanwhile. */
export async function writeMade(
  folder: string,
  platform: Platform,
  { inputs, sha256, bytes, python, mtimeMs }: Made & { readonly inputs: string; readonly mtimeMs: number },
): Promise<void> {
  await writeWhole(recordFile(folder, platform), JSON.stringify({ inputs, sha256, bytes, python, mtimeMs }));
}
