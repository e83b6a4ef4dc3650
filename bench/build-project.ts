import { cp } from "node:fs/promises";
import path from "node:path";
import { type Built, buildProject } from "#cli/build/build-project.ts";
import { benchCache, saltFolder } from "./folders.ts";

/** Shared with what else is built in this checkout: the large part of an executable is made once a machine. */
const templates = path.join(saltFolder, "node_modules", ".cache", "salt");

let built: Promise<Built> | null = null;

/**
 * The benchmark's project, built as users build theirs, once a process; what an earlier one made of the same sources is
 * taken as it is.
 */
export function buildBenchProject(say: (line: string) => void): Promise<Built> {
  built ??= buildCopy(say);
  return built;
}

async function buildCopy(say: (line: string) => void): Promise<Built> {
  const folder = benchCache;
  await cp(path.join(import.meta.dirname, "project"), folder, { recursive: true, filter: isSource });
  return await buildProject({ env: { ...process.env, SALT_CACHE: templates }, nowMs: Date.now, say }, { folder });
}

const isSource = (file: string): boolean => !["dist", ".salt", "node_modules"].includes(path.basename(file));
