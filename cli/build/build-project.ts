import { rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Platform } from "#shared/protocol/common.ts";
import { type Description, type Manifest, manifestSchema } from "#shared/protocol/manifest.ts";
import { checkTriggers } from "./check-triggers.ts";
import { indent } from "./describe-binary.ts";
import { hostPlatform } from "./host.ts";
import { writeMade } from "./made-before.ts";
import { removeLeftPartials, writeWhole } from "./partial-of.ts";
import { preparePython } from "./python/toolchain.ts";
import { type Project, readProject } from "./read-project.ts";
import type { BuildDeps, BuiltBinary, Staged, Toolchain } from "./toolchain.ts";
import { prepareTypescript } from "./typescript/toolchain.ts";

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
 * Builds the project in a folder: sources checked, one binary per platform in `dist/<platform>/`, the manifest in
 * `dist/manifest.json`. `InvalidProject` and `BuildFailed` say file, line and column; what an earlier build left is then
 * as it was.
 */
export async function buildProject(deps: BuildDeps, request: BuildRequest): Promise<Built> {
  const startMs = deps.nowMs();
  const project = await readProject(request.folder);
  const toolchain = await (project.language === "python" ? preparePython : prepareTypescript)(deps, project);
  const staged: Staged[] = [];
  try {
    const out = await stageBinaries(request, project, { toolchain, staged, nowMs: startMs });
    const { manifest, printed } = await describeStaged(project, staged, toolchain);
    for (const binary of staged) await putInPlace(project, binary);
    const manifestFile = path.join(out, "manifest.json");
    await writeWhole(manifestFile, `${JSON.stringify(manifest, null, 2)}\n`);
    const binaries = staged.map(({ made }) => made);
    return { project, manifest, manifestFile, binaries, printed, tookMs: deps.nowMs() - startMs };
  } finally {
    for (const { partial } of staged) if (partial !== null) await rm(partial, { force: true });
    await toolchain.close?.();
  }
}

/** Adds each binary as it is made, so that what a failure leaves is known. Returns the folder that they are for. */
async function stageBinaries(
  request: BuildRequest,
  project: Project,
  { toolchain, staged, nowMs }: { toolchain: Toolchain; staged: Staged[]; nowMs: number },
): Promise<string> {
  if (request.form === "script") {
    const out = path.join(project.folder, ".salt", "dev");
    if (toolchain.stageScript) {
      await removeLeftPartials(out, nowMs);
      staged.push(await toolchain.stageScript(out));
      return out;
    }
  }
  const out = path.join(project.folder, "dist");
  for (const platform of request.platforms ?? project.platforms ?? [hostPlatform()]) {
    await removeLeftPartials(path.join(out, platform), nowMs);
    staged.push(await toolchain.stage(platform, path.join(out, platform)));
  }
  return out;
}

async function describeStaged(
  project: Project,
  staged: readonly Staged[],
  toolchain: Toolchain,
): Promise<{ readonly manifest: Manifest; readonly printed: string | null }> {
  const { description, printed } = await toolchain.describe(staged);
  if (description.workflows.length + description.tasks.length === 0) {
    throw new SaltError("BuildFailed", `Cannot build: ${project.entry} declares no workflow and no task type.`, {
      next: toolchain.declareHint,
    });
  }
  checkTriggers(project, description);
  const binaries = staged.map(({ made }) => made);
  const manifest = makeManifest(project, description, binaries);
  return { manifest, printed: printed.trim() === "" ? null : indent(printed) };
}

async function putInPlace(project: Project, { made, partial, inputs }: Staged): Promise<void> {
  if (partial === null) return;
  const { mtimeMs } = await stat(partial);
  await rename(partial, made.file);
  if (inputs !== null) await writeMade(project.folder, made.platform, { inputs, mtimeMs, ...made });
}

function makeManifest(project: Project, description: Description, binaries: readonly BuiltBinary[]): Manifest {
  const manifest = {
    salt: 1,
    project: project.name,
    description,
    triggers: project.triggers,
    binaries: Object.fromEntries(
      binaries.map(({ platform, sha256, bytes, python }) => [
        platform,
        { sha256, bytes, ...(python ? { python } : {}) },
      ]),
    ),
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
