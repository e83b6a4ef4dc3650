import { readFile } from "node:fs/promises";
import path from "node:path";
import { type Problem, problemsError } from "../../problems.ts";
import { remedyOf } from "./use-lock.ts";

/**
 * A Python traceback at a program's import as a problem of the project: the error, and the project's own line that it came
 * from. Null where that cannot be told from the text.
 */
export async function pythonImportFailure(
  stderr: string,
  folder: string,
  given: { readonly module: string; readonly lock: string | null },
): Promise<Error | null> {
  const lines = stderr.trimEnd().split("\n");
  const text = lines.findLast((line) => /^[A-Za-z_][\w.]*(:|$)/.test(line));
  if (text === undefined) return null;
  const missing = /^ModuleNotFoundError: No module named '([^']+)'/.exec(text)?.[1];
  const place = await placeOf(lines, folder);
  if (missing !== undefined && (missing === given.module || given.module.startsWith(`${missing}.`))) {
    const next =
      "have the build backend of pyproject.toml put that module into the wheel, or correct 'entry' in salt.yaml";
    const wrong = `the project's wheel has no module '${missing}'`;
    return problemsError("Cannot describe the program", [{ ...nowhere, text: wrong, next }]);
  }
  if (place === null) return null;
  const lock = given.lock === null ? "" : `, then: ${remedyOf(given.lock)}`;
  const next =
    missing === undefined
      ? "make the entry importable: what it does at import fails"
      : `add the package that has '${missing}' to project.dependencies in pyproject.toml${lock}`;
  return problemsError("Cannot describe the program", [{ ...place, text, next }]);
}

const nowhere = { file: "pyproject.toml", line: null, column: null } as const;

/** The innermost frame that is in a file of the project, whose path ends as that of the unpacked module does. */
async function placeOf(lines: readonly string[], folder: string): Promise<Omit<Problem, "text" | "next"> | null> {
  for (const frame of lines.toReversed()) {
    const [, at = "", line = ""] = /^\s+File "(.+)", line (\d+)/.exec(frame) ?? [];
    const parts = at.split(/[\\/]/);
    for (let from = 1; from < parts.length; from += 1) {
      for (const root of ["src", ""]) {
        const file = path.posix.join(root, ...parts.slice(from));
        const source = (await readFile(path.join(folder, file), "utf8").catch(() => null))?.split(/\r?\n/);
        const written = source?.[Number(line) - 1];
        if (written !== undefined) return { file, line: Number(line), column: null, source: written };
      }
    }
  }
  return null;
}
