import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";

/** What builds and tools leave in a project's folder. */
const left = /^\.|^node_modules$|^__pycache__$|\.egg-info$|\.pyc$/;
/** As the name of a package further down it means something else. */
const leftAtTop = /^(dist|build)$/;

/**
 * The files of a Python project that its wheel may be made of, relative, in order. Left out are files whose name begins
 * with a dot, `dist` and `build` at the top, `node_modules`, `__pycache__`, `*.egg-info`, and virtual environments.
 */
export async function listSources(folder: string, within = ""): Promise<string[]> {
  const entries = await readdir(path.join(folder, within), { withFileTypes: true });
  if (entries.some(({ name }) => name === "pyvenv.cfg")) return [];
  const found: string[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const name = path.join(within, entry.name);
    if (left.test(entry.name) || (within === "" && leftAtTop.test(entry.name))) continue;
    if (entry.isDirectory()) found.push(...(await listSources(folder, name)));
    else if (entry.isFile()) found.push(name);
  }
  return found;
}

/** A digest of files: of their names, whether they are executable, and their bytes. */
export async function digestSources(folder: string, files: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const name of files) {
    const file = path.join(folder, name);
    const content = createHash("sha256")
      .update(await readFile(file))
      .digest("hex");
    const mode = ((await stat(file)).mode & 0o100) === 0 ? "-" : "x";
    hash.update(`${JSON.stringify(name.split(path.sep).join("/"))} ${mode} ${content}\n`);
  }
  return hash.digest("hex");
}

/** Copies files, so that what a build backend leaves beside them (`build/`, `*.egg-info`) never gets into the next wheel. */
export async function copySources(folder: string, files: readonly string[], target: string): Promise<void> {
  for (const name of files) {
    await mkdir(path.dirname(path.join(target, name)), { recursive: true });
    await copyFile(path.join(folder, name), path.join(target, name));
  }
}
