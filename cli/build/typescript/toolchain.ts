import { createHash } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import type { Sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Platform } from "#shared/protocol/common.ts";
import { cacheFolder } from "../cache-folder.ts";
import { type Described, describeProgram } from "../describe-binary.ts";
import { hostPlatform, programName } from "../host.ts";
import { linkSdk } from "../link-sdk.ts";
import { readMade } from "../made-before.ts";
import { partialOf } from "../partial-of.ts";
import type { Project } from "../read-project.ts";
import type { BuildDeps, Staged, Toolchain } from "../toolchain.ts";
import { bundleProject } from "./bundle.ts";
import { checkTypes } from "./check-types.ts";
import { findBase } from "./find-base.ts";
import { makeExecutable } from "./make-executable.ts";
import { canScript, makeScript } from "./make-script.ts";
import { requireNpm } from "./require-npm.ts";
import { signExecutable } from "./sign-executable.ts";

/** Checks the types of a TypeScript project and bundles it. */
export async function prepareTypescript(deps: BuildDeps, project: Project): Promise<Toolchain> {
  requireNpm("build a TypeScript project");
  await linkSdk(project.folder);
  deps.say("Checking types and bundling");
  const bundle = await checkAndBundle(project);
  return {
    stage: (platform, folder) => stageExecutable(deps, project, { platform, folder, bundle }),
    ...(canScript(process.execPath) ? { stageScript: (folder: string) => stageScript(bundle, folder) } : {}),
    describe: (staged) => describeBuilt(project, staged, bundle),
    declareHint: "declare one there with workflow() or task(), or import the file that does",
  };
}

/** Both at once. A missing import is a type error as well, but the bundler says better what to do about it. */
async function checkAndBundle(project: Project): Promise<string> {
  const [types, bundle] = await Promise.allSettled([checkTypes(project), bundleProject(project)]);
  if (bundle.status === "rejected") throw bundle.reason;
  if (types.status === "rejected") throw types.reason;
  return bundle.value;
}

async function stageScript(bundle: string, folder: string): Promise<Staged> {
  const platform = hostPlatform();
  const file = path.join(folder, programName(platform));
  const partial = partialOf(file);
  const made = { platform, file, reused: false, ...(await makeScript(bundle, partial, process.execPath)) };
  return { made, partial, inputs: null };
}

async function stageExecutable(
  deps: BuildDeps,
  project: Project,
  { platform, folder, bundle }: { platform: Platform; folder: string; bundle: string },
): Promise<Staged> {
  const file = path.join(folder, programName(platform));
  const cache = cacheFolder(deps.env);
  const base = await findBase({ cacheFolder: cache, say: deps.say }, platform);
  const inputs = createHash("sha256").update(`${platform} ${base.version}\n`).update(bundle).digest("hex");
  const before = await readMade(project.folder, platform, inputs, file);
  if (before !== null) return { made: { platform, file, ...before, reused: true }, partial: null, inputs };
  deps.say(`Making the executable for ${platform}`);
  const partial = partialOf(file);
  const made = await makeExecutable({
    bundle,
    base,
    output: partial,
    cacheFolder: cache,
    finish: (made) => signExecutable(deps, platform, made),
  });
  const staged = {
    made: { platform, file, sha256: made.sha256 as Sha256, bytes: made.bytes, reused: false },
    partial,
    inputs,
  };
  if (made.bytes <= limits.fileBytesMax) return staged;
  await rm(partial, { force: true });
  throw new SaltError(
    "TooLarge",
    `Cannot build: the executable has ${made.bytes} bytes, at most ${limits.fileBytesMax} are allowed.`,
  );
}

/** By the executable itself where it is for this machine, else by this Node: both execute the same bundle. */
async function describeBuilt(project: Project, staged: readonly Staged[], bundle: string): Promise<Described> {
  const own = staged.find(({ made }) => made.platform === hostPlatform());
  if (own) return await describeProgram([own.partial ?? own.made.file], project.folder);
  const file = partialOf(path.join(project.folder, ".salt", "cache", "main.mjs"));
  await mkdir(path.dirname(file), { recursive: true });
  try {
    await writeFile(file, bundle);
    return await describeProgram([process.execPath, file], project.folder);
  } finally {
    await rm(file, { force: true });
  }
}
