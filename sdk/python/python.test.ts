import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { findPython, requirePython } from "../../tests/support/python-project.ts";
import { testCache } from "../../tests/support/salt-process.ts";

const run = promisify(execFile);
const folder = import.meta.dirname;

const python = await findPython();
requirePython(python);

/** A virtual environment with the SDK and its development tools from PyPI, made once for what pyproject.toml asks for. */
async function environment(): Promise<string> {
  const { stdout: version } = await run(python ?? "", ["-VV"]);
  const asked = await readFile(path.join(folder, "pyproject.toml"));
  const key = createHash("sha256").update(version).update(folder).update(asked).digest("hex").slice(0, 16);
  const made = path.join(testCache, `python-${key}`);
  if (existsSync(path.join(made, "complete"))) return made;
  await rm(made, { recursive: true, force: true });
  await mkdir(testCache, { recursive: true });
  await run(python ?? "", ["-m", "venv", made]);
  const pip = (...args: string[]) => run(path.join(made, "bin", "python"), ["-m", "pip", "install", "-q", ...args]);
  await pip("--upgrade", "pip>=25.1");
  await pip("--group", `${path.join(folder, "pyproject.toml")}:dev`);
  await pip("--editable", folder);
  await writeFile(path.join(made, "complete"), "");
  return made;
}

/** The SDK for Python, tested by its own tools. */
describe.skipIf(python === null)("sdk/python", () => {
  let bin: string;
  beforeAll(async () => {
    bin = path.join(await environment(), "bin");
  }, 600_000);

  async function expectPassing(tool: string, ...args: string[]): Promise<void> {
    const env = { ...process.env, PYTHONDONTWRITEBYTECODE: "1" };
    const end = await run(path.join(bin, tool), args, { cwd: folder, env, maxBuffer: 64 * 1024 * 1024 }).then(
      () => "passed",
      (error: { stdout?: string; stderr?: string }) => `${error.stdout ?? ""}${error.stderr ?? error}`,
    );
    expect(end).toBe("passed");
  }

  test("its tests pass, the transcripts and golden vectors among them", { timeout: 300_000 }, () =>
    expectPassing("pytest"),
  );
  test("it is typed", { timeout: 120_000 }, () => expectPassing("mypy"));
  test("it is formatted and linted", async () => {
    const others = [
      "tests/journeys/python",
      "tests/journeys/mixed",
      "examples",
      "deploy/wheel",
      "cli/templates/python",
    ];
    const where = ["--config", "pyproject.toml", ".", ...others.map((name) => `../../${name}`)];
    await expectPassing("ruff", "format", "--check", ...where);
    await expectPassing("ruff", "check", ...where);
  });
});
