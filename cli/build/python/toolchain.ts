import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import type { Sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { fitsPython } from "#shared/domain/python-versions.ts";
import type { Platform } from "#shared/protocol/common.ts";
import type { PythonNeed } from "#shared/protocol/manifest.ts";
import { checkEntry } from "../check-entry.ts";
import { type Described, describeProgram } from "../describe-binary.ts";
import { digestFile } from "../digest-file.ts";
import { hostPlatform } from "../host.ts";
import { readMade } from "../made-before.ts";
import { partialOf } from "../partial-of.ts";
import type { Project } from "../read-project.ts";
import type { BuildDeps, Staged, Toolchain } from "../toolchain.ts";
import { askTools, type BuildEnvironment, openBuildEnvironment, pinnedDigest } from "./build-environment.ts";
import { findInterpreters, sdkRequires } from "./find-interpreters.ts";
import { pythonImportFailure } from "./import-failure.ts";
import { makePex, type PexRequest } from "./make-pex.ts";
import { findSdkWheel, makeWheel, type Wheel } from "./make-wheel.ts";
import { digestSources, listSources } from "./source-tree.ts";
import {
  checkLocked,
  constraintsOf,
  type Lock,
  type LockedPackage,
  provenLines,
  remedyOf,
  requirementLines,
  resolvedBefore,
  resolvedFile,
} from "./use-lock.ts";

const programFile = "main.pex";

interface Prepared {
  readonly deps: BuildDeps;
  readonly project: Project;
  readonly environment: BuildEnvironment;
  /** What the project and the SDK need. */
  readonly requires: string;
  readonly lock: Lock;
  readonly sources: readonly string[];
  readonly workFolder: string;
  /** The project's own and the SDK's, made when they are first asked for. */
  readonly wheels: () => Promise<readonly Wheel[]>;
}

/** Checks a Python project's files, and finds the interpreter, the build environment and the lock to build it with. */
export async function preparePython(deps: BuildDeps, project: Project): Promise<Toolchain> {
  await checkEntry(project);
  if (!(await stat(path.join(project.folder, "pyproject.toml")).catch(() => null))) {
    throw new SaltError("InvalidProject", `Cannot build: there is no pyproject.toml in ${project.folder}.`, {
      next: "write one with [project], a name, a version and the dependencies",
    });
  }
  const { environment, requires } = await chooseEnvironment(deps, project);
  const lock = await askTools<Lock>(environment, ["lock", project.folder]);
  const sources = await listSources(project.folder);
  let made: Promise<readonly Wheel[]> | null = null;
  const workFolder = await mkdtemp(path.join(tmpdir(), "salt-pex-"));
  const prepared: Prepared = {
    ...{ deps, project, environment, requires, lock, sources, workFolder },
    wheels() {
      made ??= makeWheels(prepared);
      return made;
    },
  };
  return {
    stage: (platform, folder) => stagePex(prepared, platform, folder),
    stageScript: (folder) => stagePex(prepared, hostPlatform(), folder),
    describe: (staged) => describePex(prepared, staged),
    declareHint: "declare one there with @salt.workflow or @salt.task, or import the module that does",
    close: () => rm(workFolder, { recursive: true, force: true }),
  };
}

/** Of the interpreters at hand the first that the project allows: `python3`, where it does. */
async function chooseEnvironment(
  deps: BuildDeps,
  project: Project,
): Promise<{ readonly environment: BuildEnvironment; readonly requires: string }> {
  const passed: string[] = [];
  let requires: string | null = null;
  for await (const interpreter of findInterpreters(deps.env)) {
    if (requires === null || fitsPython(interpreter.version, requires)) {
      const environment = await openBuildEnvironment(deps, interpreter);
      requires ??= await readRequires(environment, project);
      if (fitsPython(interpreter.version, requires)) return { environment, requires };
    }
    passed.push(interpreter.version);
  }
  throw new SaltError(
    "BuildFailed",
    `Cannot build: the project needs Python ${requires}, this machine has ${passed.join(", ")}.`,
    { next: "install such a Python, name one as SALT_PYTHON, or widen requires-python in pyproject.toml" },
  );
}

/** What the project and the SDK need, as any Python can read it. */
async function readRequires(environment: BuildEnvironment, project: Project): Promise<string> {
  const { requiresPython } = await askTools<{ requiresPython: string }>(environment, ["project", project.folder]);
  return [requiresPython, sdkRequires].filter((text) => text !== "").join(",");
}

async function makeWheels({ deps, project, environment, sources, workFolder }: Prepared): Promise<readonly Wheel[]> {
  deps.say("Making the project's wheel");
  const output = path.join(workFolder, "wheels");
  return [
    await makeWheel(environment, { folder: project.folder, files: sources }, output),
    await findSdkWheel(deps, environment),
  ];
}

/** `src/shop/main.py` is `shop.main`. */
function moduleOf(entry: string): string {
  const parts = path.posix.normalize(entry.replaceAll("\\", "/")).replace(/\.py$/, "").split("/");
  if (parts[0] === "src" && parts.length > 1) parts.shift();
  if (parts.at(-1) === "__init__") parts.pop();
  return parts.join(".");
}

async function stagePex(prepared: Prepared, platform: Platform, folder: string): Promise<Staged> {
  const { deps, project, lock } = prepared;
  const file = path.join(folder, programFile);
  const kept = await keptOf(prepared, platform);
  const inputs = await inputsOf(prepared, platform, kept);
  const before = await readMade(project.folder, platform, inputs, file);
  if (before !== null) return { made: { platform, file, ...before, reused: true }, partial: null, inputs };
  const how = lock.file === null ? "resolving its dependencies, for there is no lock" : `with ${lock.file}`;
  deps.say(`Making the PEX for ${platform}, ${how}`);
  const partial = partialOf(file);
  try {
    const python = await makeLocked(prepared, { platform, kept, output: partial });
    const { size } = await stat(partial);
    if (size > limits.fileBytesMax) {
      throw new SaltError(
        "TooLarge",
        `Cannot build: the PEX has ${size} bytes, at most ${limits.fileBytesMax} are allowed.`,
      );
    }
    const made = { platform, file, sha256: (await digestFile(partial)) as Sha256, bytes: size, reused: false, python };
    return { made, partial, inputs: await inputsOf(prepared, platform, await keptOf(prepared, platform)) };
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function inputsOf(prepared: Prepared, platform: Platform, kept: readonly string[]): Promise<string> {
  const { deps, project, environment, sources } = prepared;
  const { sha256 } = await findSdkWheel(deps, environment);
  const hash = createHash("sha256").update(await digestSources(project.folder, sources));
  for (const what of [platform, environment.interpreter.version, pinnedDigest, sha256, project.entry, ...kept]) {
    hash.update(`\n${what}`);
  }
  return hash.digest("hex");
}

/** Versions that hold: those of the lock, else those that were resolved last time for the same pyproject.toml. */
async function keptOf({ project, lock, environment }: Prepared, platform: Platform): Promise<readonly string[]> {
  if (lock.file !== null) return constraintsOf(lock.packages);
  return await resolvedBefore.read(resolvedFile(project.folder, platform), await askedOf(project, environment));
}

async function askedOf(project: Project, { interpreter }: BuildEnvironment): Promise<string> {
  const text = await readFile(path.join(project.folder, "pyproject.toml"));
  return createHash("sha256").update(text).update(interpreter.version).digest("hex");
}

type Inspected = PythonNeed & { readonly packages: readonly LockedPackage[] };

/** Makes the PEX, and holds it against the lock; what was resolved without one is written down beside it. */
async function makeLocked(
  prepared: Prepared,
  { platform, kept, output }: { platform: Platform; kept: readonly string[]; output: string },
): Promise<PythonNeed> {
  const { project, environment, requires, lock, workFolder } = prepared;
  const wheels = await prepared.wheels();
  const request: PexRequest = {
    ...{ platform, wheels, output, workFolder, module: moduleOf(project.entry) },
    requirements: wheels.map(({ requirement }) => requirement),
    constraints: kept,
    next:
      lock.file === null
        ? `correct project.dependencies in pyproject.toml, or take ${platform} out of 'platforms' in salt.yaml`
        : `bring the lock up to date: ${remedyOf(lock.file)}`,
  };
  await makePex(environment, request);
  const question = ["inspect", output, platform, environment.interpreter.version, requires];
  const { packages, ...need } = await askTools<Inspected>(environment, question);
  const own = packages.filter(({ name, version }) => request.requirements.includes(`${name}==${version}`));
  const others = packages.filter((one) => !own.includes(one));
  if (lock.file === null) {
    const asked = await askedOf(project, environment);
    await resolvedBefore.write(resolvedFile(project.folder, platform), asked, constraintsOf(others));
    await writeFile(path.join(path.dirname(output), "requirements.txt"), `${requirementLines(others).join("\n")}\n`);
  } else if (!checkLocked(lock, others)) {
    // Something was built from sources, whose digests only pip has seen: it checks them, of everything.
    await makePex(environment, { ...request, constraints: [], requirements: provenLines(lock, packages, own) });
  }
  return need;
}

/** By the PEX for this machine, which is made for this alone where none is asked for. */
async function describePex(prepared: Prepared, staged: readonly Staged[]): Promise<Described> {
  const { deps, project, environment, lock, workFolder } = prepared;
  const own =
    staged.find(({ made }) => made.platform === hostPlatform()) ??
    (await stagePex(prepared, hostPlatform(), path.join(workFolder, "describe")));
  const module = moduleOf(project.entry);
  return await describeProgram([environment.interpreter.file, own.partial ?? own.made.file], project.folder, {
    env: { ...deps.env, PEX_ROOT: environment.pexRoot },
    importFailure: (stderr) => pythonImportFailure(stderr, project.folder, { module, lock: lock.file }),
  });
}
