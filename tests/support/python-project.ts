import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, cp, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { describeProgram } from "#cli/build/describe-binary.ts";
import { hostPlatform } from "#cli/build/host.ts";
import { registerProject } from "#cli/register-project.ts";
import type { RegisteredRelease } from "#shared/protocol/api.ts";
import type { Manifest } from "#shared/protocol/manifest.ts";
import { saltFolder } from "./salt-process.ts";
import type { Salt } from "./start-salt.ts";

const run = promisify(execFile);

const sdk = path.join(saltFolder, "sdk", "python", "src", "salt");

/** What to do on a machine whose Python is missing or too old. */
const pythonNeeded = (minor: number): string =>
  `Python 3.${minor} or newer is needed: apt install python3 python3-venv, or set SALT_PYTHON to one`;

/** The interpreter that tests use: SALT_PYTHON, else `python3`. Null when there is none that the SDK, or a test, supports. */
export async function findPython({ minor = 10 }: { readonly minor?: number } = {}): Promise<string | null> {
  const script = `import sys, venv; print(sys.executable if sys.version_info >= (3, ${minor}) else '')`;
  const { stdout } = await run(process.env.SALT_PYTHON ?? "python3", ["-c", script]).catch(() => ({ stdout: "" }));
  return stdout.trim() || null;
}

/** Says what is missing; tests are skipped then, and fail in CI. */
export function requirePython(python: string | null, minor = 10): void {
  if (python !== null) return;
  console.warn(pythonNeeded(minor));
  if (process.env.CI === "true") throw new Error(pythonNeeded(minor));
}

/** Makes of a module and the SDK one executable file, a zipapp: Python's own simplest form of such a thing. */
export async function makeZipapp(python: string, module: string, folder: string): Promise<string> {
  const tree = path.join(folder, "tree");
  const name = path.basename(module, ".py");
  await mkdir(tree, { recursive: true });
  await cp(sdk, path.join(tree, "salt"), { recursive: true, filter: (file) => !file.includes("__pycache__") });
  await copyFile(module, path.join(tree, `${name}.py`));
  const main = `import salt\nimport ${name}\nif __name__ == "__main__":\n    salt.main()\n`;
  await writeFile(path.join(tree, "__main__.py"), main);
  const made = path.join(folder, `${name}.pyz`);
  await run(python, ["-m", "zipapp", tree, "-o", made, "-p", python]);
  return made;
}

/** Registers an executable file as a project's release, for this platform. */
export async function registerProgram(salt: Salt, project: string, file: string): Promise<RegisteredRelease> {
  const { description } = await describeProgram([file], path.dirname(file));
  const bytes = await readFile(file);
  const binary = { sha256: createHash("sha256").update(bytes).digest("hex"), bytes: bytes.length };
  const platform = hostPlatform();
  const manifest = { salt: 1, project, description, triggers: [], binaries: { [platform]: binary } } as unknown;
  const binaries = [{ platform, file, ...binary, reused: false }];
  const built = { manifest: manifest as Manifest, binaries } as unknown as Parameters<typeof registerProject>[1];
  return await registerProject({ client: salt.client, onUpload: () => undefined }, built);
}
