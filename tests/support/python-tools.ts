import { execFile, spawnSync } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { saltFolder } from "./salt-process.ts";

const execute = promisify(execFile);
const installMs = 240_000;

/** The folder of mypy and ruff, installed where they are not yet; null, said why, where that cannot be. With `CI=true` an error. */
export function findPythonTools(): string | null {
  const made = spawnSync(path.join(saltFolder, ".ci", "python-tools"), { encoding: "utf8", timeout: installMs });
  if (made.status === 0) return made.stdout.trim();
  const why = `mypy and ruff cannot be installed (.ci/python-tools): ${made.error?.message ?? made.stderr}`;
  if (process.env.CI === "true") throw new Error(why);
  console.warn(`${why}. Tests of generated Python are skipped.`);
  return null;
}

/** Checks a folder of Python as strictly as mypy can for the oldest Python there is, and with ruff. Rejects with what they say. */
export async function checkPython(tools: string, folder: string, env: NodeJS.ProcessEnv = {}): Promise<void> {
  const run = (tool: string, args: readonly string[]) =>
    execute(path.join(tools, tool), args, { cwd: folder, env: { ...process.env, ...env } }).catch(
      (error: { stdout: string; stderr: string }) => {
        throw new Error(`${tool} is not content:\n${error.stdout}${error.stderr}`);
      },
    );
  await run("mypy", [
    "--strict",
    "--python-version",
    "3.10",
    "--follow-imports",
    "silent",
    "--cache-dir",
    "/dev/null",
    ".",
  ]);
  // Which letters a user's texts have is theirs.
  const rules = ["--select", "E,F,I,UP,B,RUF", "--ignore", "RUF001,RUF002,RUF003"];
  await run("ruff", ["check", "--no-cache", "--isolated", ...rules, "--target-version", "py310", "."]);
}

/** Checks a folder of TypeScript with the compiler. Rejects with what it says. */
export async function checkTypescript(folder: string, options: object = {}): Promise<void> {
  const tsc = path.join(saltFolder, "node_modules", "typescript", "bin", "tsc");
  await execute(process.execPath, [tsc, "--project", folder, "--pretty", "false"], options).catch(
    (error: { stdout: string }) => {
      throw new Error(`tsc is not content:\n${error.stdout}`);
    },
  );
}
