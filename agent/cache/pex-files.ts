import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { lstat, mkdir, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { SaltError } from "#shared/domain/errors.ts";
import type { Python } from "./find-pythons.ts";

const execute = promisify(execFile);
const unpackTimeoutMs = 10 * 60_000;
const stderrCharsTold = 4_000;

/** PEXes unpacked beside them: `<pex>.tree/<version>/` is the tree for one version of Python, `<version>.sha256` its digest. */
export interface PexFiles {
  /**
   * Unpacks a PEX for a Python, compiled, in place of what is there; answers the bytes of all its trees. `BadRequest` in
   * pex's words when it does not work with this Python.
   */
  unpack(pex: string, python: Python): Promise<number>;
  /** Whether the tree for a Python is there, as it was unpacked. */
  verify(pex: string, python: Python): Promise<boolean>;
  /** What executes the program of an unpacked PEX. */
  command(pex: string, python: Python): readonly string[];
}

export const treesOf = (pex: string): string => `${pex}.tree`;
const treeOf = (pex: string, { version }: Python): string => join(treesOf(pex), version);
const digestFileOf = (pex: string, python: Python): string => `${treeOf(pex, python)}.sha256`;
const interpreterOf = (tree: string): string =>
  process.platform === "win32" ? join(tree, "Scripts", "python.exe") : join(tree, "bin", "python");

const packagesOf = (tree: string, { version }: Python): string =>
  process.platform === "win32"
    ? join(tree, "Lib", "site-packages")
    : join(tree, "lib", `python${version.split(".").slice(0, 2).join(".")}`, "site-packages");

export const systemPexFiles: PexFiles = {
  async unpack(pex, python) {
    const tree = treeOf(pex, python);
    const root = `${tree}.root`;
    const remove = () =>
      Promise.all([tree, root, digestFileOf(pex, python)].map((path) => rm(path, { recursive: true, force: true })));
    await remove();
    await mkdir(dirname(tree), { recursive: true });
    try {
      await makeTree(pex, python, { tree, root });
      await rm(root, { recursive: true, force: true });
      await writeFile(digestFileOf(pex, python), await digestTree(tree));
      return await bytesOf(treesOf(pex));
    } catch (error) {
      await remove();
      throw error;
    }
  },
  async verify(pex, python) {
    const told = await readFile(digestFileOf(pex, python), "utf8").catch(() => null);
    return told !== null && told === (await digestTree(treeOf(pex, python)).catch(() => null));
  },
  // The module that `salt build` makes, without what pex does at each start to find out that all is unpacked. As a file, so
  // that the working folder is not searched for modules; variables such as PYTHONHASHSEED count.
  command(pex, python) {
    const tree = treeOf(pex, python);
    return [interpreterOf(tree), "-s", join(packagesOf(tree, python), "salt_entry.py")];
  },
};

/** With the tools that are within the PEX; no wheel is fetched, and nothing of the project executed. */
async function makeTree(pex: string, python: Python, { tree, root }: { tree: string; root: string }): Promise<void> {
  const env = { PATH: "/usr/local/bin:/usr/bin:/bin", LANG: "C.UTF-8", HOME: root, PEX_ROOT: root, PEX_TOOLS: "1" };
  const args = ["-I", pex, "venv", "--compile", tree];
  await execute(python.file, args, { env, timeout: unpackTimeoutMs, maxBuffer: 16 * 1024 * 1024 }).catch((error) => {
    const words = String(error.stderr || error.message)
      .trim()
      .slice(-stderrCharsTold);
    throw new SaltError("BadRequest", `Cannot unpack the PEX with Python ${python.version}: ${words}`, {
      cause: error,
    });
  });
}

/** A digest of names, links and bytes, in order. */
async function digestTree(tree: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const { path, file, isLink } of walk(tree)) {
    const content = isLink
      ? await readlink(file)
      : createHash("sha256")
          .update(await readFile(file))
          .digest("hex");
    hash.update(`${JSON.stringify(path)} ${isLink ? "->" : "="} ${content}\n`);
  }
  return hash.digest("hex");
}

/** The bytes of a folder's files; 0 when there is none. */
export async function bytesOf(folder: string): Promise<number> {
  let bytes = 0;
  for await (const { file } of walk(folder)) bytes += (await lstat(file)).size;
  return bytes;
}

async function* walk(folder: string, within = ""): AsyncGenerator<{ path: string; file: string; isLink: boolean }> {
  const entries = await readdir(join(folder, within), { withFileTypes: true }).catch(() => []);
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(within, entry.name);
    if (entry.isDirectory()) yield* walk(folder, path);
    else yield { path, file: join(folder, path), isLink: entry.isSymbolicLink() };
  }
}
