/**
 * Where the parts of this installation are; the one place that knows. There are three kinds, with the same folders: a clone,
 * whose sources are executed as they are; the npm package, where the modules of `cli/` have become files of that folder
 * itself, and the SDK is JavaScript with its declarations beside it; and a single executable, which unpacks what is needed
 * as a file, and has no tools for TypeScript.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { cacheFolder } from "./build/cache-folder.ts";
import { embeddedFiles } from "./embedded-files.ts";
import { unpackFiles } from "./unpack-files.ts";

const isClone = import.meta.filename.endsWith(".ts");

/** Without npm's packages: Python projects can be built, TypeScript ones cannot. */
export const isExecutable = embeddedFiles !== null;

/** The folder of this installation of Salt: its package.json is here. Of an executable it has nothing of Salt's. */
export const saltFolder = path.resolve(import.meta.dirname, "..");

/** The text of a file of this installation. */
export const readInstalled = (name: string): string =>
  embeddedFiles?.[name] ?? readFileSync(path.join(saltFolder, name), "utf8");

/** A file or folder of this installation. An executable's is in the user's cache, unpacked when one is first asked for. */
function placeOf(env: NodeJS.ProcessEnv, ...parts: readonly string[]): string {
  if (embeddedFiles === null) return path.join(saltFolder, ...parts);
  return path.join(unpackFiles(embeddedFiles, path.join(cacheFolder(env), "installed")), ...parts);
}

export const templatesFolder = (env: NodeJS.ProcessEnv): string => placeOf(env, "cli", "templates");

export const sdkFolder = path.join(saltFolder, "sdk", "typescript");

/** The SDK for Python, as a project of its own. */
export const pythonSdkFolder = (env: NodeJS.ProcessEnv): string => placeOf(env, "sdk", "python");

/** What `salt build` has Python do. */
export const pythonToolsFile = (env: NodeJS.ProcessEnv): string => placeOf(env, "cli", "build", "python", "tools.py");

/** The files of `@salt/sdk` and `@salt/sdk/main`, within `sdkFolder`. */
export const sdkModules = { ".": sdkFiles("index"), "./main": sdkFiles("main") } as const;

function sdkFiles(name: string): { readonly code: string; readonly types: string } {
  return isClone ? { code: `./${name}.ts`, types: `./${name}.ts` } : { code: `./${name}.js`, types: `./${name}.d.ts` };
}

/**
 * The folder of an npm package that Salt brings. It is not always in ours: npm puts what others need as well further up.
 * Throws when the package is not installed.
 */
export function findPackage(name: string): string {
  return path.dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
}

/** Packages that become part of programs. */
const programPackages = ["zod"];

const isWithin = (folder: string, file: string): boolean => file.startsWith(folder + path.sep);

/** A name for a file of this installation that says nothing of where that is, with `/`; null for any other file. */
export function nameInstalled(file: string): string | null {
  const nameFrom = (folder: string) => path.relative(folder, file).split(path.sep).join("/");
  const owner = programPackages.find((name) => isWithin(findPackage(name), file));
  if (owner !== undefined) return `node_modules/${owner}/${nameFrom(findPackage(owner))}`;
  return isWithin(saltFolder, file) ? nameFrom(saltFolder) : null;
}

/** The file that `nameInstalled` gave a name. */
export function fileInstalled(name: string): string {
  const owner = programPackages.find((one) => name.startsWith(`node_modules/${one}/`));
  if (owner === undefined) return path.join(saltFolder, name);
  return path.join(findPackage(owner), name.slice(`node_modules/${owner}/`.length));
}
