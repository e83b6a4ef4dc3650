import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, symlink, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestFile } from "#cli/build/digest-file.ts";
import { hostPlatform } from "#cli/build/host.ts";
import { buildExecutable } from "../deploy/wheel/build-executable.ts";
import { buildWheel, isWheelPlatform } from "../deploy/wheel/build-wheel.ts";
import { docBlocks } from "./support/doc-blocks.ts";
import { runBlocks, Terminal } from "./support/doc-terminal.ts";
import { freePort } from "./support/free-port.ts";
import { findPython, requirePython } from "./support/python-project.ts";
import { privateEnv, saltFolder, testCache } from "./support/salt-process.ts";

const execute = promisify(execFile);
const megabyte = 1024 * 1024;
const python = await findPython();
requirePython(python);
const platform = hostPlatform();
const isHere = isWheelPlatform(platform);
if (!isHere) console.warn(`No wheel is made for ${platform}: it is not tested.`);

/** What a system has besides Python, to begin with; there is no Node and no npm among it. */
const systemPrograms = ["sh", "bash", "env", "cat", "uname"];

const deps = { env: { ...process.env, SALT_CACHE: testCache }, say: () => undefined, nowMs: Date.now };

/** From the title to the next heading. */
const firstSection = (page: string): string => page.slice(0, page.indexOf("\n## "));

/** What a process of Python prints, as JSON. */
const ask = async (file: string, script: string, ...args: string[]): Promise<unknown> =>
  JSON.parse((await execute(file, ["-c", script, ...args], { maxBuffer: 16 * megabyte })).stdout);

/** Names and bytes of the SDK's modules in a wheel, which may be within another archive. */
const modulesOf = `
import hashlib, io, json, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
inner = [name for name in archive.namelist() if name.startswith(".deps/salt_py-")]
wheel = zipfile.ZipFile(io.BytesIO(archive.read(inner[0]))) if inner else archive
names = [name for name in wheel.namelist() if name.startswith("salt/")]
print(json.dumps({name: hashlib.sha256(wheel.read(name)).hexdigest() for name in sorted(names)}))
`;

describe.skipIf(python === null || !isHere)("the wheel", () => {
  let folder = "";
  let wheel = "";
  let env: NodeJS.ProcessEnv = {};
  let terminal: Terminal;
  const venv = (name: string) => path.join(folder, ".venv", "bin", name);
  /** Executes the installed `salt`, or another program of the virtual environment. */
  const run = async (name: string, ...args: string[]) => {
    const own = { cwd: folder, env: { ...env, PATH: `${path.dirname(venv(name))}:${env.PATH}` } };
    return await execute(venv(name), args, own).catch(
      (error: { code: number; stdout: string; stderr: string }) => error,
    );
  };

  beforeAll(async () => {
    if (!isHere) return;
    folder = await realpath(await mkdtemp(path.join(tmpdir(), "salt-wheel-test-")));
    wheel = await buildWheel(deps, platform, folder);
    const bin = path.join(folder, "bin");
    await mkdir(bin);
    for (const name of systemPrograms)
      await symlink((await execute("which", [name])).stdout.trim(), path.join(bin, name));
    const { stdout: base } = await execute(python ?? "", ["-c", "import sys; print(sys._base_executable)"]);
    await symlink(base.trim(), path.join(bin, "python3"));
    env = { ...privateEnv(folder), PATH: bin };
    await writeFile(path.join(folder, "state.sh"), "");
    terminal = new Terminal(folder, env);
  }, 300_000);
  afterAll(async () => {
    await terminal?.close();
    if (folder !== "") await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }, 60_000);

  const installedInfo = async (): Promise<string> => {
    const names = await readdir(path.join(folder, ".venv"), { recursive: true });
    return path.join(folder, ".venv", names.find((name) => /[\\/]salt_py-[^\\/]+\.dist-info$/.test(name)) ?? "");
  };

  const page = async () => docBlocks(firstSection(await readFile(path.join(saltFolder, "docs", "python.md"), "utf8")));

  test("docs/python.md: from a clean virtual environment without Node to a run, every command as the page says", {
    timeout: 300_000,
  }, async () => {
    await expect(execute("/bin/sh", ["-c", "command -v node || command -v npm"], { env })).rejects.toThrow();
    // The page names a port and a platform; here there may be others.
    const port = String(await freePort());
    const blocks = (await page()).map((block) => ({
      ...block,
      text: block.text.replaceAll("7422", port).replaceAll("linux-x64", platform),
    }));
    await runBlocks(terminal, blocks, { listens: /not shown again/, connected: /Connected to the coordinator/ });
  });

  test("docs/python.md shows nothing to type in this section that is not executed", async () => {
    const typed = (await page()).filter(({ info }) => info[0] === "sh");
    expect(typed.length).toBeGreaterThan(5);
    expect(typed.filter(({ info }) => info[1] !== "run" && info[1] !== "background")).toEqual([]);
  });

  test("what is in a project's PEX is the SDK of the wheel", async () => {
    const pex = path.join(folder, "my-flow", "dist", platform, "main.pex");
    const modules = await ask(python ?? "", modulesOf, wheel);
    expect(Object.keys(modules as object)).toContain("salt/__init__.py");
    expect(await ask(python ?? "", modulesOf, pex)).toEqual(modules);
  });

  test("says what it is, and has the licences of what is inside", async () => {
    expect(path.basename(wheel)).toMatch(/^salt_py-[\d.]+-py3-none-manylinux_2_28_(x86_64|aarch64)\.whl$/);
    const version = path.basename(wheel).split("-")[1] ?? "";
    expect((await run("salt", "--version")).stdout).toBe(`salt ${version}\n`);
    expect((await stat(wheel)).size).toBeLessThan(60 * megabyte);
    const info = await installedInfo();
    const metadata = await readFile(path.join(info, "METADATA"), "utf8");
    expect(metadata).toContain("\nName: salt-py\n");
    expect(metadata).toMatch(/^License-Expression: MIT\n/m);
    const notices = await readFile(path.join(info, "licenses", "LICENSE-THIRD-PARTY.md"), "utf8");
    for (const name of ["ioredis", "zod", "Node.js"]) expect(notices).toMatch(new RegExp(`^## ${name} \\d`, "m"));
  });

  test("serves a project by salt dev, where salt doctor has nothing to say against it", {
    timeout: 120_000,
  }, async () => {
    terminal.background("salt dev --once --port 0");
    await terminal.waitFor(/✔ my-flow .*registered/);
    const { stdout } = await terminal.run("salt doctor --json name,state");
    const checked = JSON.parse(stdout) as { name: string; state: string }[];
    expect(checked).toContainEqual({ name: "Python for builds", state: "fine" });
    expect(checked).toContainEqual({ name: "agents", state: "fine" });
    expect(checked.filter(({ state }) => state === "fails")).toEqual([]);
  });

  test("refuses TypeScript projects, and says what to do", async () => {
    const made = await run("salt", "init", "ts", "--template", "hello");
    expect(made).toMatchObject({ code: 1, stderr: expect.stringContaining("→ take the salt of a clone") });
    const own = path.join(folder, "typed");
    await mkdir(own);
    await writeFile(path.join(own, "salt.yaml"), "name: typed\n");
    expect(await run("salt", "build", own)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("Cannot build a TypeScript project: this salt came without npm"),
    });
  });

  test("brings an executable that is the same when it is made again, and names no place of this machine", async () => {
    const file = path.join(folder, "again");
    const { sha256 } = await buildExecutable(deps, platform, file);
    expect(await digestFile(venv("salt"))).toBe(sha256);
    const bytes = await readFile(file);
    const places = [saltFolder, homedir(), folder].filter((place) => place !== path.parse(place).root);
    expect(places.filter((place) => bytes.includes(`${place}/`))).toEqual([]);
  });

  test("leaves nothing of itself when it is uninstalled", async () => {
    expect((await run("pip", "check")).stdout).toContain("No broken requirements found.");
    expect((await run("pip", "uninstall", "--yes", "salt-py")).stdout).toContain("Successfully uninstalled salt-py");
    await expect(stat(venv("salt"))).rejects.toThrow("ENOENT");
    const left = (await readdir(path.join(folder, ".venv"), { recursive: true })).filter((name) => /salt/.test(name));
    expect(left).toEqual([]);
  });
});
