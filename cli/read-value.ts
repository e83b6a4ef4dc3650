import { readFile } from "node:fs/promises";
import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Cli } from "./cli.ts";

/** A value given on the command line: JSON, `@file` with JSON in it, or `-` for stdin. */
export async function readValue(cli: Cli, flag: string, text: string): Promise<unknown> {
  const { source, json } = await readSource(cli, flag, text);
  if (Buffer.byteLength(json) > limits.requestBytesMax) {
    const bytes = Buffer.byteLength(json);
    throw new SaltError(
      "TooLarge",
      `Cannot send ${source}: it has ${bytes} bytes, at most ${limits.requestBytesMax} are allowed.`,
      { next: "give what says where the bytes are, and let a task fetch them: its output may be a file" },
    );
  }
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new SaltError("BadRequest", `Cannot read ${source}: it is no JSON: ${(error as Error).message}`, {
      next: `quote it for the shell, as in ${flag} '{"name":"Ada"}', or give a file with ${flag} @input.json`,
    });
  }
}

async function readSource(cli: Cli, flag: string, text: string): Promise<{ source: string; json: string }> {
  if (text === "-") {
    const chunks: Buffer[] = [];
    for await (const chunk of cli.stdin) chunks.push(Buffer.from(chunk as Buffer));
    return { source: `stdin (${flag} -)`, json: Buffer.concat(chunks).toString("utf8") };
  }
  if (!text.startsWith("@")) return { source: `the value of ${flag}`, json: text };
  const file = path.resolve(cli.cwd, text.slice(1));
  try {
    return { source: `${file} (${flag})`, json: await readFile(file, "utf8") };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "there is no such file" : message;
    throw new SaltError("BadRequest", `Cannot read ${file} (${flag}): ${why}.`, { cause: error });
  }
}
