import { readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";

export interface SchemaSource {
  /** Relative to the folder, with `/`. */
  readonly file: string;
  readonly schema: unknown;
}

/**
 * The `.json` files of a folder and of those within it, in the order of their names. Others, and what begins with a dot, are passed
 * over. Throws SaltError: `NotFound` for no folder, `InvalidInput` for a file that is no JSON, `TooLarge` beyond
 * `limits.schemaFileBytesMax` or `limits.schemaFilesMax`.
 */
export async function readSchemas(folder: string): Promise<SchemaSource[]> {
  const found = await stat(folder).catch(() => null);
  if (!found?.isDirectory()) {
    throw new SaltError(
      "NotFound",
      `Cannot read schemas from ${folder}: ${found ? "it is a file" : "nothing is there"}.`,
      {
        next: "name the folder that holds the .json files",
      },
    );
  }
  const files = await listSchemas(folder);
  if (files.length === 0) {
    throw new SaltError("NotFound", `Cannot read schemas from ${folder}: it has no .json file.`, {
      next: "name the folder that holds the .json files",
    });
  }
  if (files.length > limits.schemaFilesMax) {
    throw new SaltError(
      "TooLarge",
      `${folder} has ${files.length} .json files, at most ${limits.schemaFilesMax} are allowed.`,
    );
  }
  const sources: SchemaSource[] = [];
  for (const file of files) sources.push({ file, schema: await readJson(path.join(folder, file), file) });
  return sources;
}

async function listSchemas(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: Error) => {
    throw new SaltError("InvalidInput", `Cannot read the folder ${folder}: ${error.message}.`, { cause: error });
  });
  return entries
    .filter((entry) => !entry.isDirectory() && entry.name.endsWith(".json"))
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).split(path.sep).join("/"))
    .filter((file) => !file.split("/").some((step) => step.startsWith(".")))
    .sort();
}

/** One JSON file. `label` is what messages call it. */
export async function readJson(file: string, label: string): Promise<unknown> {
  let text: string;
  try {
    const { size } = await stat(file);
    if (size > limits.schemaFileBytesMax) {
      throw new SaltError("TooLarge", `${label} has ${size} bytes, at most ${limits.schemaFileBytesMax} are allowed.`);
    }
    text = await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof SaltError) throw error;
    throw new SaltError("InvalidInput", `Cannot read ${label}: ${(error as Error).message}.`, { cause: error });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SaltError("InvalidInput", `Cannot read ${label}: it is no JSON: ${(error as Error).message}.`, {
      next: "correct the file, or move it out of the folder",
      cause: error,
    });
  }
}
