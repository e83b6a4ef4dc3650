import { lstat, mkdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { findPackage, sdkFolder, sdkModules } from "../installation.ts";

/**
 * Gives a project that has not installed them `@salt/sdk` and the types of Node, as links into this installation, so
 * that editors and tsc find them and nothing has to be installed. Packages that are there already are left alone.
 */
export async function linkSdk(projectFolder: string): Promise<void> {
  const modules = path.join(projectFolder, "node_modules");
  await linkFolder(findPackage("@types/node"), path.join(modules, "@types", "node"));
  const sdk = path.join(modules, "@salt", "sdk");
  if ((await lstat(sdk).catch(() => null)) !== null && !(await isOurs(sdk))) return;
  await mkdir(sdk, { recursive: true });
  await linkFolder(sdkFolder, path.join(sdk, "source"));
  await writeFile(path.join(sdk, "package.json"), `${JSON.stringify(sdkPackage, null, 2)}\n`);
}

const linkedBy = "salt";
const sdkPackage = {
  name: "@salt/sdk",
  description: "A link to the SDK of the Salt that builds this project. Made by `salt build`; safe to delete.",
  type: "module",
  linkedBy,
  exports: Object.fromEntries(
    Object.entries(sdkModules).map(([name, { code, types }]) => [
      name,
      { types: types.replace(".", "./source"), default: code.replace(".", "./source") },
    ]),
  ),
};

async function isOurs(sdk: string): Promise<boolean> {
  try {
    const text = await readFile(path.join(sdk, "package.json"), "utf8");
    return (JSON.parse(text) as { linkedBy?: string }).linkedBy === linkedBy;
  } catch {
    return false;
  }
}

/** Makes or corrects a link; anything else that stands there stays. */
async function linkFolder(target: string, link: string): Promise<void> {
  const found = await lstat(link).catch(() => null);
  if (found !== null && !found.isSymbolicLink()) return;
  if (found !== null) {
    if ((await readlink(link)) === target) return;
    await rm(link);
  }
  await mkdir(path.dirname(link), { recursive: true });
  await symlink(target, link, "junction").catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
}
