import { assert } from "#shared/domain/assert.ts";
import { SaltError } from "#shared/domain/errors.ts";
import { fitsPython } from "#shared/domain/python-versions.ts";
import { runProcess } from "../../run-process.ts";

/** A CPython of this machine that the SDK supports. */
export interface Interpreter {
  /** Absolute. */
  readonly file: string;
  /** Such as `3.11.7`. */
  readonly version: string;
}

/** What the SDK needs. */
export const sdkRequires = ">=3.10";

const names = ["python3", ...[14, 13, 12, 11, 10].map((minor) => `python3.${minor}`), "python"] as const;
const askTimeoutMs = 20_000;
const question = [
  "import json, os, platform, sys",
  "ok = platform.python_implementation() == 'CPython' and sys.version_info.releaselevel == 'final'",
  // A virtual environment comes and goes; the Python that it was made of stays, and so does what was made with that.
  "file = os.path.realpath(getattr(sys, '_base_executable', None) or sys.executable)",
  "print(json.dumps({'file': file, 'version': platform.python_version() if ok else ''}))",
].join("\n");

/**
 * The interpreters to build with: `SALT_PYTHON` alone where it is set, else `python3`, `python3.14` … `python3.10` and
 * `python` of the `PATH`, in this order, each asked when the one before would not do. `BuildFailed` when there is none that
 * the SDK supports.
 */
export async function* findInterpreters(env: NodeJS.ProcessEnv): AsyncGenerator<Interpreter> {
  const found = new Map<string, string>();
  let isAny = false;
  for (const name of env.SALT_PYTHON ? [env.SALT_PYTHON] : names) {
    const one = await askInterpreter(name, env);
    if (one === null || found.has(one.file)) continue;
    found.set(one.file, one.version);
    if (!fitsPython(one.version, sdkRequires)) continue;
    isAny = true;
    yield one;
  }
  if (isAny) return;
  const has = found.size === 0 ? "there is none" : `there is only ${[...found.values()].join(", ")}`;
  const where = env.SALT_PYTHON ? `SALT_PYTHON (${env.SALT_PYTHON})` : "the PATH";
  throw new SaltError(
    "BuildFailed",
    `Cannot build: a Python project needs CPython ${sdkRequires}, and in ${where} ${has}.`,
    {
      next: "install it (Debian: apt install python3 python3-venv), or name one as SALT_PYTHON",
    },
  );
}

/** The one to build with where no project says which it needs. Errors are those of `findInterpreters`. */
export async function firstInterpreter(env: NodeJS.ProcessEnv): Promise<Interpreter> {
  const { value } = await findInterpreters(env).next();
  assert(value !== undefined, "there is an interpreter, or findInterpreters throws");
  return value;
}

/** Null when it is not there, or no CPython. */
async function askInterpreter(name: string, env: NodeJS.ProcessEnv): Promise<Interpreter | null> {
  const end = await runProcess([name, "-I", "-c", question], { cwd: "/", env, timeoutMs: askTimeoutMs }).catch(
    () => null,
  );
  if (end === null || end.status !== 0) return null;
  try {
    const { file, version } = JSON.parse(end.stdout) as Interpreter;
    return file && version ? { file, version } : null;
  } catch {
    return null;
  }
}
