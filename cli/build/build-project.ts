import { createHash } from "node:crypto";
import { mkdir, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import type { Sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Platform } from "#shared/protocol/common.ts";
import { type Description, type Manifest, manifestSchema } from "#shared/protocol/manifest.ts";
import { cacheFolder } from "./cache-folder.ts";
import { checkTriggers } from "./check-triggers.ts";
import { describeProgram } from "./describe-binary.ts";
import { hostPlatform, programName } from "./host.ts";
import { linkSdk } from "./link-sdk.ts";
import { type Project, readProject } from "./read-project.ts";
import { bundleProject } from "./typescript/bundle.ts";
import { checkTypes } from "./typescript/check-types.ts";
import { findBase } from "./typescript/find-base.ts";
import { readMade, writeMade } from "./typescript/made-before.ts";
import { makeExecutable } from "./typescript/make-executable.ts";
import { canScript, makeScript } from "./typescript/make-script.ts";
import { signExecutable } from "./typescript/sign-executable.ts";

export interface BuildDeps {
  readonly env: NodeJS.ProcessEnv;
  /** Called with a line for people at each step. */
  readonly say: (line: string) => void;
  readonly nowMs: () => number;
}

export interface BuiltBinary {
  readonly platform: Platform;
  /** Absolute. */
  readonly file: string;
  readonly sha256: Sha256;
  readonly bytes: number;
  /** Nothing had changed since it was made. */
  readonly reused: boolean;
}

export interface BuildRequest {
  readonly folder: string;
  /** Default: those of salt.yaml, else this machine's. */
  readonly platforms?: readonly Platform[];
  /**
   * `executable` (default), in `dist/`: what ships. `script`, in `.salt/dev/`: for this machine alone, where it is read by
   * the Node of this installation; small, and made at once.
   */
  readonly form?: "executable" | "script";
}

export interface Built {
  readonly project: Project;
  readonly manifest: Manifest;
  readonly manifestFile: string;
  readonly binaries: readonly BuiltBinary[];
  readonly tookMs: number;
}

/**
 * Builds the project in a folder: types checked, one executable per platform in `dist/<platform>/`, the manifest in
 * `dist/manifest.json`. `InvalidProject` and `BuildFailed` say file, line and column.
 */
export async function buildProject(deps: BuildDeps, request: BuildRequest): Promise<Built> {
  const startMs = deps.nowMs();
  const project = await readProject(request.folder);
  await linkSdk(project.folder);
  deps.say("Checking types and bundling");
  const bundle = await checkAndBundle(project);
  const binaries: BuiltBinary[] = [];
  const scripted = request.form === "script" && canScript(process.execPath);
  const out = path.join(project.folder, scripted ? path.join(".salt", "dev") : "dist");
  if (scripted) {
    const platform = hostPlatform();
    const file = path.join(out, programName(platform));
    binaries.push({ platform, file, reused: false, ...(await makeScript(bundle, file, process.execPath)) });
  } else {
    for (const platform of request.platforms ?? project.platforms ?? [hostPlatform()]) {
      binaries.push(await buildBinary(deps, project, platform, bundle));
    }
  }
  const description = await describeBuilt(project, binaries, bundle);
  if (description.workflows.length + description.tasks.length === 0) {
    throw new SaltError("BuildFailed", `Cannot build: ${project.entry} declares no workflow and no task type.`, {
      next: `declare one there with workflow() or task(), or import the file that does`,
    });
  }
  checkTriggers(project, description);
  const manifest = makeManifest(project, description, binaries);
  const manifestFile = path.join(out, "manifest.json");
  await writeWhole(manifestFile, `${JSON.stringify(manifest, null, 2)}\n`);
  return { project, manifest, manifestFile, binaries, tookMs: deps.nowMs() - startMs };
}

/** Both at once. A missing import is a type error as well, but the bundler says better what to do about it. */
async function checkAndBundle(project: Project): Promise<string> {
  const [types, bundle] = await Promise.allSettled([checkTypes(project), bundleProject(project)]);
  if (bundle.status === "rejected") throw bundle.reason;
  if (types.status === "rejected") throw types.reason;
  return bundle.value;
}

async function buildBinary(
  deps: BuildDeps,
  project: Project,
  platform: Platform,
  bundle: string,
): Promise<BuiltBinary> {
  const file = path.join(project.folder, "dist", platform, programName(platform));
  const cache = cacheFolder(deps.env);
  const base = await findBase({ cacheFolder: cache, say: deps.say }, platform);
  const inputs = createHash("sha256").update(`${platform} ${base.version}\n`).update(bundle).digest("hex");
  const before = await readMade(project.folder, platform, inputs, file);
  if (before !== null) return { platform, file, ...before, reused: true };
  deps.say(`Making the executable for ${platform}`);
  const made = await makeExecutable({
    bundle,
    base,
    output: file,
    cacheFolder: cache,
    finish: (partial) => signExecutable(deps, platform, partial),
  });
  if (made.bytes > limits.fileBytesMax) {
    throw new SaltError(
      "TooLarge",
      `Cannot build: the executable has ${made.bytes} bytes, at most ${limits.fileBytesMax} are allowed.`,
    );
  }
  await writeMade(project.folder, platform, { inputs, ...made }, file);
  return { platform, file, sha256: made.sha256 as Sha256, bytes: made.bytes, reused: false };
}

/** By the executable itself where it is for this machine, else by this Node: both execute the same bundle. */
async function describeBuilt(project: Project, binaries: readonly BuiltBinary[], bundle: string): Promise<Description> {
  const own = binaries.find((binary) => binary.platform === hostPlatform());
  if (own) return await describeProgram([own.file], project.folder);
  const file = path.join(project.folder, ".salt", "cache", "main.mjs");
  await writeWhole(file, bundle);
  return await describeProgram([process.execPath, file], project.folder);
}

function makeManifest(project: Project, description: Description, binaries: readonly BuiltBinary[]): Manifest {
  const manifest = {
    salt: 1,
    project: project.name,
    description,
    triggers: project.triggers,
    binaries: Object.fromEntries(binaries.map(({ platform, sha256, bytes }) => [platform, { sha256, bytes }])),
  };
  const parsed = manifestSchema.safeParse(manifest);
  if (!parsed.success) {
    const why = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ");
    throw new SaltError("InvalidManifest", `Cannot build: the manifest is not valid: ${why}.`);
  }
  const bytes = Buffer.byteLength(JSON.stringify(parsed.data));
  if (bytes > limits.manifestBytesMax) {
    throw new SaltError(
      "TooLarge",
      `Cannot build: the manifest has ${bytes} bytes, at most ${limits.manifestBytesMax} are allowed.`,
    );
  }
  return parsed.data;
}

async function writeWhole(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(`${file}.partial`, text);
  await rename(`${file}.partial`, file);
}
