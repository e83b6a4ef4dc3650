import { execFile } from "node:child_process";
import { access, constants, realpath } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { pythonVersionSchema } from "#shared/protocol/common.ts";

const execute = promisify(execFile);

/** A CPython of this machine. */
export interface Python {
  /** Absolute. */
  readonly file: string;
  /** Such as `3.11.7`. */
  readonly version: string;
}

const names = ["python3", ...Array.from({ length: 6 }, (_, index) => `python3.${15 - index}`), "python"];
const usualFolders = ["/usr/local/bin", "/usr/bin", "/bin", "/opt/homebrew/bin"];
const askTimeoutMs = 10_000;
/** Nothing for what is no released CPython with its usual ABI. */
const question =
  "import platform, sys, venv; ok = platform.python_implementation() == 'CPython' and sys.version_info.releaselevel == 'final' and 't' not in sys.abiflags; print(sys.executable, platform.python_version() if ok else '', sep='\\n')";

/**
 * The interpreters with which PEXes can be executed here: `python3`, `python3.15` … `python3.10` and `python` in the folders
 * of `PATH` and the system's own, one of each version, the first found. Free-threaded builds and other implementations have
 * another ABI, and are passed over.
 */
export async function findPythons(path = process.env.PATH ?? ""): Promise<readonly Python[]> {
  const folders = [...new Set([...path.split(delimiter), ...usualFolders])].filter((folder) => folder !== "");
  const candidates = folders.flatMap((folder) =>
    names.map((name) => join(folder, process.platform === "win32" ? `${name}.exe` : name)),
  );
  const files = new Set<string>();
  for (const file of candidates) {
    if (
      !(await access(file, constants.X_OK).then(
        () => true,
        () => false,
      ))
    )
      continue;
    files.add(await realpath(file));
  }
  const found = await Promise.all([...files].map(askPython));
  const known = new Map<string, Python>();
  for (const one of found) if (one !== null && !known.has(one.version)) known.set(one.version, one);
  return [...known.values()];
}

async function askPython(file: string): Promise<Python | null> {
  const { stdout } = await execute(file, ["-I", "-c", question], { timeout: askTimeoutMs }).catch(() => ({
    stdout: "",
  }));
  const [executable = "", version = ""] = stdout.trim().split(/\r?\n/);
  return executable !== "" && pythonVersionSchema.safeParse(version).success ? { file: executable, version } : null;
}
