import { readFile } from "node:fs/promises";
import path from "node:path";
import { type Problem, problemsError } from "../problems.ts";

const defaultNext = "make the entry importable: what it does at import fails";

/**
 * What Node printed of an error at a program's import, as a problem of the project: its message, the project's own line
 * that it came from, and what Salt says to do about it. Null where that cannot be told from the text.
 *
 * `program` is the file that was executed: a source map's paths stand beside it, though the sources are in `folder`.
 */
export async function importFailure(stderr: string, program: string, folder: string): Promise<Error | null> {
  const lines = stderr.split("\n");
  const firstFrame = lines.findIndex((line) => /^\s+at /.test(line));
  if (firstFrame < 1) return null;
  const begin = lines.slice(0, firstFrame).lastIndexOf("") + 1;
  const text = lines
    .slice(begin, firstFrame)
    .join("\n")
    .replace(/^SaltError: /, "");
  const place = await placeOf(lines.slice(firstFrame), program, folder);
  if (text === "" || place === null) return null;
  const next = /^ {2}next: (['"`])(.*)\1,?$/m.exec(stderr)?.[2] ?? defaultNext;
  return problemsError("Cannot describe the program", [{ ...place, text, next }]);
}

/** The first frame that is in a file of the project. */
async function placeOf(
  frames: readonly string[],
  program: string,
  folder: string,
): Promise<Pick<Problem, "file" | "line" | "column" | "source"> | null> {
  const beside = `${path.dirname(program)}${path.sep}`;
  for (const frame of frames) {
    const [, at = "", line = "", column = ""] = /^\s+at (?:.*\()?(.*):(\d+):(\d+)\)?$/.exec(frame) ?? [];
    if (!at.startsWith(beside)) continue;
    const file = at.slice(beside.length);
    const source = await readFile(path.join(folder, file), "utf8").catch(() => null);
    const written = source?.split(/\r?\n/)[Number(line) - 1];
    if (written === undefined) continue;
    return {
      file: file.split(path.sep).join("/"),
      line: Number(line),
      column: Number(column),
      source: written,
    };
  }
  return null;
}
