import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import { pythonToolsFile } from "../../installation.ts";
import { type Problem, problemsError } from "../../problems.ts";
import { runProcess } from "../../run-process.ts";
import { cacheFolder } from "../cache-folder.ts";
import { indent } from "../describe-binary.ts";
import type { BuildDeps } from "../toolchain.ts";
import type { Interpreter } from "./find-interpreters.ts";

/** What is installed there, and nothing else; another file than these is refused. */
const pinned = [
  "pex==2.105.2 --hash=sha256:5a4d73fbeab30ddf70e360971cb19b9fa80b2a29cfe83e786215fcdd5ef1af9d",
  "packaging==26.3 --hash=sha256:d7193f7c8e4e93f444fde0262bf90af30e16fa0ad0ad44cb553c87339b23cd1c",
];
export const pinnedDigest = createHash("sha256").update(pinned.join("\n")).digest("hex").slice(0, 16);
const installTimeoutMs = 5 * 60_000;

export interface BuildEnvironment {
  readonly interpreter: Interpreter;
  /** The environment's own Python, with pex, packaging and pip. */
  readonly python: string;
  /** Variables for what is executed in it: the user's, without those that would make two machines build unlike. */
  readonly env: NodeJS.ProcessEnv;
  /** What pex keeps between builds. */
  readonly pexRoot: string;
}

/**
 * The virtual environment in which PEXes are made with an interpreter; made once, in the cache. It is found by a digest of
 * what is in it, and appears whole or not at all. `BuildFailed` in the words of venv or pip.
 */
export async function openBuildEnvironment(deps: BuildDeps, interpreter: Interpreter): Promise<BuildEnvironment> {
  const cache = path.join(cacheFolder(deps.env), "python");
  const name = createHash("sha256").update(`${interpreter.file} ${interpreter.version}`).digest("hex").slice(0, 16);
  const folder = path.join(cache, `build-${pinnedDigest}-${name}`);
  const bin = process.platform === "win32" ? path.join("Scripts", "python.exe") : path.join("bin", "python");
  const python = path.join(folder, bin);
  const env = { ...deps.env, SOURCE_DATE_EPOCH: "315532800", PIP_DISABLE_PIP_VERSION_CHECK: "1", PIP_NO_INPUT: "1" };
  if (!(await stat(path.join(folder, "whole")).catch(() => null))) {
    deps.say(`Making the build environment for Python ${interpreter.version}, once`);
    await makeEnvironment(folder, { interpreter, bin, env });
  }
  return { interpreter, python, env, pexRoot: path.join(cache, "pex-root") };
}

async function makeEnvironment(
  folder: string,
  { interpreter, bin, env }: { interpreter: Interpreter; bin: string; env: NodeJS.ProcessEnv },
): Promise<void> {
  await mkdir(path.dirname(folder), { recursive: true });
  const temporary = await mkdtemp(path.join(path.dirname(folder), "making-"));
  try {
    await runOrFail([interpreter.file, "-m", "venv", temporary], env, {
      attempted: `make a virtual environment with ${interpreter.file}`,
      next: "install Python's venv module (Debian: apt install python3-venv), or name another Python as SALT_PYTHON",
    });
    const requirements = path.join(temporary, "requirements.txt");
    await writeFile(requirements, `${pinned.join("\n")}\n`);
    const install = ["-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r", requirements];
    await runOrFail([path.join(temporary, bin), ...install], env, {
      attempted: "install pex from PyPI",
      next: "try again with a network; pip's own settings (index, proxy, certificates) apply",
    });
    await writeFile(path.join(temporary, "whole"), "");
    await rename(temporary, folder).catch(() => undefined);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function runOrFail(
  command: readonly string[],
  env: NodeJS.ProcessEnv,
  told: { readonly attempted: string; readonly next: string },
): Promise<void> {
  const end = await runProcess(command, { cwd: "/", env, timeoutMs: installTimeoutMs });
  if (end.status === 0) return;
  const why = end.timedOut ? "it took too long" : `\n${indent(`${end.stdout}\n${end.stderr}`)}`;
  throw new SaltError("BuildFailed", `Cannot ${told.attempted}: ${why}`, { next: told.next, retryable: true });
}

type ToolAnswer = { readonly problems?: readonly Problem[] };

/** What `tools.py` answers; what it finds wrong with the project is thrown as `BuildFailed`, with file and line. */
export async function askTools<Answer extends object>(
  { python, env }: BuildEnvironment,
  question: readonly string[],
): Promise<Answer> {
  const command = [python, "-I", pythonToolsFile(env), ...question];
  const end = await runProcess(command, { cwd: "/", env, timeoutMs: installTimeoutMs });
  if (end.status !== 0) throw new SaltError("BuildFailed", `Cannot build: tools.py failed:\n${indent(end.stderr)}`);
  const answer = JSON.parse(end.stdout) as Answer & ToolAnswer;
  if (answer.problems) throw problemsError("Cannot build", answer.problems);
  return answer;
}
