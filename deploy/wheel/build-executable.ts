import { readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { cacheFolder } from "#cli/build/cache-folder.ts";
import type { BuildDeps } from "#cli/build/toolchain.ts";
import { findBase } from "#cli/build/typescript/find-base.ts";
import { makeExecutable } from "#cli/build/typescript/make-executable.ts";
import { saltVersion } from "#cli/version.ts";
import type { Platform } from "#shared/protocol/common.ts";
import { filesReadByCli, isSource } from "../package/build-package.ts";
import { bundleExecutable } from "../package/bundle-code.ts";
import { thirdPartyText } from "../package/third-party.ts";
import { nodeLicence } from "./node-licence.ts";

const clone = path.resolve(import.meta.dirname, "../..");

export interface SaltExecutable {
  readonly sha256: string;
  /** Markdown: what is inside of it, with the licences. */
  readonly notices: string;
}

/** Makes the command line, with coordinator and agent, as one executable that needs no other file. The same sources give the same bytes. */
export async function buildExecutable(deps: BuildDeps, platform: Platform, output: string): Promise<SaltExecutable> {
  const cache = cacheFolder(deps.env);
  const base = await findBase({ cacheFolder: cache, say: deps.say }, platform);
  const { code, sources } = await bundleExecutable(clone, await readFiles());
  const { sha256 } = await makeExecutable({ bundle: code, base, output, cacheFolder: cache });
  const packages = await thirdPartyText(clone, sources, "the executable `salt`, which is made of Node");
  return { sha256, notices: `${packages}\n${nodeLicence(base.version)}` };
}

/** What `cli/installation.ts` finds inside of the executable: the texts, by their names. */
async function readFiles(): Promise<Record<string, string>> {
  const names = (await Promise.all(filesReadByCli.map(filesBelow))).flat().filter(isSource);
  const texts = names.map(async (name) => [name, await readFile(path.join(clone, name), "utf8")] as const);
  const manifest = JSON.stringify({ name: "salt", version: saltVersion });
  return { "package.json": manifest, ...Object.fromEntries(await Promise.all(texts)) };
}

/** A file itself; of a folder the files below it, in order. */
async function filesBelow(name: string): Promise<string[]> {
  if ((await stat(path.join(clone, name))).isFile()) return [name];
  const entries = await readdir(path.join(clone, name), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.map((entry) => path.relative(clone, path.join(entry.parentPath, entry.name))).sort();
}
