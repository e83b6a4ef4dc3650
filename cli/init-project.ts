import { lstat, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import { nameSchema } from "#shared/protocol/common.ts";
import { linkSdk } from "./build/link-sdk.ts";
import { templatesFolder } from "./installation.ts";
import { didYouMean } from "./nearest.ts";

export const templates = {
  hello: "two tasks, one passing its output to the other",
  approval: "waits for a person's signal, for as long as it takes",
  etl: "fan-out over days, checks, fan-in, a cron trigger",
} as const;
export type TemplateName = keyof typeof templates;

/** Names of files in a template that would mean something where they are, and what they become. */
const renamed: Readonly<Record<string, string>> = {
  "gitignore.txt": ".gitignore",
  "package.json.txt": "package.json",
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
export async function initProject(request: { folder: string; template: string; name?: string }): Promise<Initialised> {
  const { folder } = request;
  const template = checkTemplate(request.template);
  const name = checkName(request.name ?? path.basename(folder));
  const files = { ...(await readTemplate("shared")), ...(await readTemplate(template)) };
  const { "input.txt": tryIt = "", ...written } = files;
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
    await writeFile(target, text.replaceAll("{{name}}", name), { flag: "wx" });
  }
  await linkSdk(folder);
  return { name, folder, files: Object.keys(written).sort(), tryIt: tryIt.trim() };
}

function checkTemplate(template: string): TemplateName {
  const names = Object.keys(templates);
  if (names.includes(template)) return template as TemplateName;
  throw new SaltError("BadRequest", `There is no template '${template}'.${didYouMean(template, names)}`, {
    next: `use one of ${names.join(", ")}`,
  });
}

function checkName(name: string): string {
  const fitted = name.replaceAll(/[^A-Za-z0-9_.-]+/g, "-").replace(/^[^A-Za-z]+/, "");
  if (nameSchema.safeParse(fitted).success) return fitted;
  throw new SaltError("BadRequest", `'${name}' cannot be the name of a project: it must begin with a letter.`, {
    next: "give one with --name",
  });
}

async function readTemplate(template: string): Promise<Record<string, string>> {
  const folder = path.join(templatesFolder, template);
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
