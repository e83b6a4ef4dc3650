import { copyFile, mkdir, mkdtemp, readdir, rename, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import { pythonSdkFolder } from "../../installation.ts";
import { runProcess } from "../../run-process.ts";
import { cacheFolder } from "../cache-folder.ts";
import { indent } from "../describe-binary.ts";
import { digestFile } from "../digest-file.ts";
import type { BuildDeps } from "../toolchain.ts";
import type { BuildEnvironment } from "./build-environment.ts";
import { copySources, digestSources, listSources } from "./source-tree.ts";

const wheelTimeoutMs = 10 * 60_000;

export interface Wheel {
  /** Absolute. */
  readonly file: string;
  /** As `name==version`. */
  readonly requirement: string;
  readonly sha256: string;
}

/** Makes the wheel of a project's sources in a folder, by its own build backend. `BuildFailed` in the backend's words. */
export async function makeWheel(
  environment: BuildEnvironment,
  sources: { readonly folder: string; readonly files: readonly string[] },
  output: string,
): Promise<Wheel> {
  const temporary = await mkdtemp(path.join(tmpdir(), "salt-wheel-"));
  try {
    const copy = path.join(temporary, "project");
    await copySources(sources.folder, sources.files, copy);
    // Backends that take the version from git look for it here.
    await symlink(path.join(sources.folder, ".git"), path.join(copy, ".git"), "junction").catch(() => undefined);
    const made = path.join(temporary, "wheel");
    const command = [environment.python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", made, copy];
    const end = await runProcess(command, { cwd: temporary, env: environment.env, timeoutMs: wheelTimeoutMs });
    if (end.status !== 0) throw wheelError(end.timedOut ? "it took too long" : end.stderr, temporary);
    const name = (await readdir(made)).find((one) => one.endsWith(".whl")) ?? "";
    await mkdir(output, { recursive: true });
    await copyFile(path.join(made, name), path.join(output, name));
    return await wheelOf(path.join(output, name));
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function wheelOf(file: string): Promise<Wheel> {
  const [name = "", version = ""] = path.basename(file).split("-");
  return { file, requirement: `${name.replaceAll("_", "-")}==${version}`, sha256: await digestFile(file) };
}

function wheelError(stderr: string, temporary: string): SaltError {
  const words = stderr.replaceAll(path.join(temporary, "project"), ".");
  const isOffline = /Could not find a version|NewConnectionError|name resolution|Network is unreachable/i.test(words);
  return new SaltError("BuildFailed", `Cannot make the project's wheel. Its build backend says:\n${indent(words)}`, {
    next: isOffline
      ? "try again with a network: the build backend comes from PyPI"
      : "correct pyproject.toml: 'pip wheel .' must work in the project's folder",
  });
}

/** The wheel of the SDK that belongs to this Salt: made from its sources once, and kept. */
export async function findSdkWheel(deps: BuildDeps, environment: BuildEnvironment): Promise<Wheel> {
  const folder = pythonSdkFolder(deps.env);
  const files = (await listSources(folder)).filter((name) => !name.startsWith("tests"));
  const kept = path.join(cacheFolder(deps.env), "python", `sdk-${(await digestSources(folder, files)).slice(0, 16)}`);
  const find = async () => (await readdir(kept).catch(() => [])).find((name) => name.endsWith(".whl"));
  const found = await find();
  if (found !== undefined) return await wheelOf(path.join(kept, found));
  await mkdir(path.dirname(kept), { recursive: true });
  const temporary = await mkdtemp(path.join(path.dirname(kept), "making-"));
  try {
    await makeWheel(environment, { folder, files }, temporary);
    await rename(temporary, kept).catch(() => undefined);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return await wheelOf(path.join(kept, (await find()) ?? ""));
}
