import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { LineCounter, parseDocument } from "yaml";
import { SaltError } from "#shared/domain/errors.ts";
import { type ProjectFile, projectSchema } from "#shared/protocol/project.ts";
import { type Problem, problemsError } from "../problems.ts";
import { projectProblems } from "./project-problems.ts";

export const projectFileName = "salt.yaml";
const projectBytesMax = 256 * 1024;

export interface Project extends ProjectFile {
  readonly language: "typescript" | "python";
  readonly entry: string;
  /** Absolute. */
  readonly folder: string;
  /** The text of salt.yaml, for problems that are found later. */
  readonly source: string;
}

/** Reads and checks the `salt.yaml` of a folder. `InvalidProject` with file, line and column of everything wrong. */
export async function readProject(folder: string): Promise<Project> {
  const source = await readSource(path.join(folder, projectFileName), folder);
  const parsed = parseProject(source);
  if (parsed.kind === "invalid")
    throw problemsError(`Cannot read ${projectFileName}`, parsed.problems, "InvalidProject");
  const { language = (await exists(path.join(folder, "pyproject.toml"))) ? "python" : "typescript", ...file } =
    parsed.file;
  return { ...file, language, entry: file.entry ?? (await defaultEntry(folder, language, file.name)), folder, source };
}

/** The module that a Python project of a name is expected to have. */
export const pythonModuleOf = (name: string): string => name.toLowerCase().replaceAll(/[-.]+/g, "_");

/** Of those that a project of the language may have, the first that is there. */
async function defaultEntry(folder: string, language: Project["language"], name: string): Promise<string> {
  if (language === "typescript") return "src/main.ts";
  const own = pythonModuleOf(name);
  const entries = [`src/${own}/main.py`, `${own}/main.py`, "src/main.py", "main.py"] as const;
  for (const entry of entries) if (await exists(path.join(folder, entry))) return entry;
  return entries[0];
}

const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );

async function readSource(file: string, folder: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > projectBytesMax) {
      throw new SaltError(
        "TooLarge",
        `Cannot read ${file}: it has ${size} bytes, at most ${projectBytesMax} are allowed.`,
      );
    }
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(file));
  } catch (error) {
    if (error instanceof SaltError) throw error;
    if ((error as NodeJS.ErrnoException).code === "ENOENT") {
      throw new SaltError("InvalidProject", `Cannot find a project in ${folder}: there is no ${projectFileName}.`, {
        next: "salt init my-flow makes one; or name the project's folder",
      });
    }
    const why = error instanceof TypeError ? "it is not UTF-8 text" : (error as Error).message;
    throw new SaltError("InvalidProject", `Cannot read ${file}: ${why}.`, { cause: error });
  }
}

export type ParsedProject =
  | { readonly kind: "valid"; readonly file: ProjectFile }
  | { readonly kind: "invalid"; readonly problems: readonly Problem[] };

/** Pure: text to project, or to everything that is wrong with it. */
export function parseProject(source: string): ParsedProject {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false, strict: true, stringKeys: true });
  const context = { source, lines, document };
  if (document.errors.length > 0) {
    return { kind: "invalid", problems: projectProblems(context, { kind: "syntax", errors: document.errors }) };
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 20 });
  } catch (error) {
    const text = (error as Error).message;
    return { kind: "invalid", problems: [{ file: projectFileName, line: null, column: null, text }] };
  }
  const result = projectSchema.safeParse(value);
  if (result.success) return { kind: "valid", file: result.data };
  return { kind: "invalid", problems: projectProblems(context, { kind: "schema", issues: result.error.issues }) };
}
