import { createHash } from "node:crypto";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import type { Sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Platform } from "#shared/protocol/common.ts";
import { type Description, type Manifest, manifestSchema } from "#shared/protocol/manifest.ts";
import { cacheFolder } from "./cache-folder.ts";
import { checkTriggers } from "./check-triggers.ts";
import { type Described, describeProgram, indent } from "./describe-binary.ts";
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
  /** The end of what the project's modules wrote to stdout when they were imported; null when they wrote nothing. */
  readonly printed: string | null;
  readonly tookMs: number;
}

/**
 * Builds the project in a folder: types checked, one executable per platform in `dist/<platform>/`, the manifest in
 * `dist/manifest.json`. `InvalidProject` and `BuildFailed` say file, line and column; what an earlier build left is then
 * as it was.
 */
export async function buildProject(deps: BuildDeps, request: BuildRequest): Promise<Built> {
  const startMs = deps.nowMs();
  const project = await readProject(request.folder);
  await linkSdk(project.folder);
  deps.say("Checking types and bundling");
  const bundle = await checkAndBundle(project);
  const staged: Staged[] = [];
  try {
    const out = await stageBinaries(deps, request, { project, bundle, staged });
    const { manifest, printed } = await describeStaged(project, staged, bundle);
    for (const binary of staged) await putInPlace(project, binary);
    const manifestFile = path.join(out, "manifest.json");
    await writeWhole(manifestFile, `${JSON.stringify(manifest, null, 2)}\n`);
    const binaries = staged.map(({ made }) => made);
    return { project, manifest, manifestFile, binaries, printed, tookMs: deps.nowMs() - startMs };
  } finally {
    for (const { partial } of staged) if (partial !== null) await rm(partial, { force: true });
  }
}

/** A binary that is made, and not yet where it belongs. */
interface Staged {
  readonly made: BuiltBinary;
  /** Where it is until the whole build is right. Null: it was there before, and nothing has changed. */
  readonly partial: string | null;
  /** What it was made from; null for what is made anew each time. */
  readonly inputs: string | null;
}

/** Beside the file, so that a rename is all that is left to do; with the ending by which a system knows how to execute it. */
const partialOf = (file: string): string => path.join(path.dirname(file), `.partial-${path.basename(file)}`);

/** Adds each binary as it is made, so that what a failure leaves is known. Returns the folder that they are for. */
async function stageBinaries(
  deps: BuildDeps,
  request: BuildRequest,
  { project, bundle, staged }: { project: Project; bundle: string; staged: Staged[] },
): Promise<string> {
  if (request.form === "script" && canScript(process.execPath)) {
    const out = path.join(project.folder, ".salt", "dev");
    const platform = hostPlatform();
    const file = path.join(out, programName(platform));
    const partial = partialOf(file);
    const made = { platform, file, reused: false, ...(await makeScript(bundle, partial, process.execPath)) };
    staged.push({ made, partial, inputs: null });
    return out;
  }
  for (const platform of request.platforms ?? project.platforms ?? [hostPlatform()]) {
    staged.push(await stageExecutable(deps, project, platform, bundle));
  }
  return path.join(project.folder, "dist");
}

async function describeStaged(
  project: Project,
  staged: readonly Staged[],
  bundle: string,
): Promise<{ readonly manifest: Manifest; readonly printed: string | null }> {
  const { description, printed } = await describeBuilt(project, staged, bundle);
  if (description.workflows.length + description.tasks.length === 0) {
    throw new SaltError("BuildFailed", `Cannot build: ${project.entry} declares no workflow and no task type.`, {
      next: `declare one there with workflow() or task(), or import the file that does`,
    });
  }
  checkTriggers(project, description);
  const binaries = staged.map(({ made }) => made);
  const manifest = makeManifest(project, description, binaries);
  return { manifest, printed: printed.trim() === "" ? null : indent(printed) };
}

async function putInPlace(project: Project, { made, partial, inputs }: Staged): Promise<void> {
  if (partial === null) return;
  await rename(partial, made.file);
  if (inputs !== null) await writeMade(project.folder, made.platform, { inputs, ...made }, made.file);
}

/** Both at once. A missing import is a type error as well, but the bundler says better what to do about it. */
async function checkAndBundle(project: Project): Promise<string> {
  const [types, bundle] = await Promise.allSettled([checkTypes(project), bundleProject(project)]);
  if (bundle.status === "rejected") throw bundle.reason;
  if (types.status === "rejected") throw types.reason;
  return bundle.value;
}

async function stageExecutable(deps: BuildDeps, project: Project, platform: Platform, bundle: string): Promise<Staged> {
  const file = path.join(project.folder, "dist", platform, programName(platform));
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
