import { lstat, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import { nameSchema } from "#shared/protocol/common.ts";
import { linkSdk } from "./build/link-sdk.ts";
import { pythonModuleOf } from "./build/read-project.ts";
import { requireNpm } from "./build/typescript/require-npm.ts";
import { isExecutable, templatesFolder } from "./installation.ts";
import { didYouMean } from "./nearest.ts";

export const templates = {
  hello: "two tasks, one passing its output to the other",
  approval: "waits for a person's signal, for as long as it takes",
  etl: "fan-out over days, checks, fan-in, a cron trigger",
  python: "hello, in Python",
} as const;
export type TemplateName = keyof typeof templates;

/** What a project is made from when nobody says; of a `salt` without npm one that it can build. */
export const defaultTemplate: TemplateName = isExecutable ? "python" : "hello";

/** Names of files in a template that would mean something where they are, and what they become. */
const renamed: Readonly<Record<string, string>> = {
  "gitignore.txt": ".gitignore",
  "package.json.txt": "package.json",
  "pyproject.toml.txt": "pyproject.toml",
  "salt.yaml.txt": "salt.yaml",
};

export interface Initialised {
  readonly name: string;
  readonly folder: string;
  readonly files: readonly string[];
  /** A command that runs the project's workflow. */
  readonly tryIt: string;
}

/** Makes a project from a template in a folder that is absent or empty of the project's files: nothing is overwritten. */
export async function initProject(request: {
  readonly env: NodeJS.ProcessEnv;
  readonly folder: string;
  readonly template: string;
  readonly name?: string;
}): Promise<Initialised> {
  const { folder } = request;
  const template = checkTemplate(request.template);
  const isPython = template === "python";
  if (!isPython) requireNpm("make a TypeScript project");
  const name = checkName(request.name ?? path.basename(folder), isPython);
  const layers = isPython ? ["shared", template] : ["shared", "typescript", template];
  const read = await Promise.all(layers.map((layer) => readLayer(path.join(templatesFolder(request.env), layer))));
  const { "input.txt": tryIt = "", ...written } = fillIn(Object.assign({}, ...read), name);
  const found = await existing(folder, Object.keys(written));
  if (found.length > 0) {
    throw new SaltError(
      "Conflict",
      `Cannot make a project in ${folder}: ${found.join(", ")} ${found.length === 1 ? "is" : "are"} there already.`,
      {
        next: "name another folder; init overwrites nothing",
      },
    );
  }
  for (const [file, text] of Object.entries(written)) {
    const target = path.join(folder, file);
    await mkdir(path.dirname(target), { recursive: true });
    await writeFile(target, text, { flag: "wx" });
  }
  if (!isPython) await linkSdk(folder);
  return { name, folder, files: Object.keys(written).sort(), tryIt: tryIt.trim() };
}

/** The project's name, and the module that has it in Python, in the names and texts of files. */
function fillIn(files: Readonly<Record<string, string>>, name: string): Record<string, string> {
  const fill = (text: string) => text.replaceAll("{{name}}", name).replaceAll("{{module}}", pythonModuleOf(name));
  return Object.fromEntries(Object.entries(files).map((pair) => pair.map(fill)));
}

function checkTemplate(template: string): TemplateName {
  const names = Object.keys(templates);
  if (names.includes(template)) return template as TemplateName;
  throw new SaltError("BadRequest", `There is no template '${template}'.${didYouMean(template, names)}`, {
    next: `use one of ${names.join(", ")}`,
  });
}

function checkName(name: string, isPython: boolean): string {
  // Python's packages end with a letter or a digit, too.
  const fitted = name.replaceAll(/[^A-Za-z0-9_.-]+/g, "-").replace(/^[^A-Za-z]+|[_.-]+$/g, "");
  if (isPython && pythonModuleOf(fitted) === "salt") {
    throw new SaltError(
      "BadRequest",
      `'${name}' cannot be the name of a Python project: its module would hide Salt's.`,
      {
        next: "give another with --name",
      },
    );
  }
  if (nameSchema.safeParse(fitted).success) return fitted;
  throw new SaltError("BadRequest", `'${name}' cannot be the name of a project: it must begin with a letter.`, {
    next: "give one with --name",
  });
}

async function readLayer(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const pairs = files.map(async (entry) => {
    const file = path.join(entry.parentPath, entry.name);
    const target = renamed[entry.name] ?? path.relative(folder, file).split(path.sep).join("/");
    return [target, await readFile(file, "utf8")] as const;
  });
  return Object.fromEntries(await Promise.all(pairs));
}

async function existing(folder: string, files: readonly string[]): Promise<string[]> {
  const present = new Set<string>();
  for (const file of files) {
    const found = await lstat(path.join(folder, file)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return null;
      throw error;
    });
    if (found !== null) present.add(file);
  }
  return [...present];
}
