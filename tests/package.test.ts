import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, symlink, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildPackage } from "../deploy/package/build-package.ts";
import { privateEnv, runSalt, saltFolder, startProcess } from "./support/salt-process.ts";

const execute = promisify(execFile);

/** Makes the Node that starts bin.mjs say that it is an old one. */
const asNode20 = ["--import", 'data:text/javascript,Object.defineProperty(process.versions,"node",{value:"20.1.0"})'];
const megabyte = 1024 * 1024;

let folder = "";
let built = "";
let bin = "";
let env: NodeJS.ProcessEnv = {};
let project = "";
let tarballBytes = 0;

/** As npm does it, without a network: the tarball unpacked, and beside it the packages that it depends on. */
async function install(tarball: string): Promise<void> {
  const modules = path.join(folder, "node_modules");
  const salt = path.join(modules, "salt");
  await mkdir(salt, { recursive: true });
  await execute("tar", ["-xzf", tarball, "--strip-components=1", "-C", salt]);
  const { dependencies } = JSON.parse(await readFile(path.join(salt, "package.json"), "utf8"));
  for (const name of Object.keys(dependencies)) {
    await mkdir(path.dirname(path.join(modules, name)), { recursive: true });
    await symlink(path.join(saltFolder, "node_modules", name), path.join(modules, name), "junction");
  }
  bin = path.join(salt, "cli", "bin.mjs");
  await chmod(bin, 0o755);
  await mkdir(path.join(modules, ".bin"));
  await symlink(path.join("..", "salt", "cli", "bin.mjs"), path.join(modules, ".bin", "salt"));
}

const options = () => ({ cwd: project, env, bin });

beforeAll(async () => {
  folder = await realpath(await mkdtemp(path.join(tmpdir(), "salt-package-")));
  env = { ...privateEnv(folder), npm_config_offline: "true", npm_config_update_notifier: "false" };
  built = path.join(folder, "built");
  await buildPackage(built);
  const packed = await execute("npm", ["pack", "--silent", "--ignore-scripts", built], { cwd: folder, env });
  const tarball = path.join(folder, packed.stdout.trim());
  tarballBytes = (await stat(tarball)).size;
  await install(tarball);
  await execute("npx", ["--no", "--", "salt", "init", "x"], { cwd: folder, env });
  project = path.join(folder, "x");
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));

async function filesOf(root: string): Promise<Map<string, string>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  const read = files.sort().map(async (file) => [path.relative(root, file), await readFile(file, "utf8")] as const);
  return new Map(await Promise.all(read));
}

describe("the npm package", () => {
  test("has the same files when it is made again, and none names a place of this machine", async () => {
    const files = await filesOf(built);
    await buildPackage(path.join(folder, "again"));
    expect(await filesOf(path.join(folder, "again"))).toEqual(files);
    const places = [saltFolder, homedir(), folder].filter((place) => place !== path.parse(place).root);
    const named = [...files].flatMap(([file, text]) =>
      places.filter((place) => text.includes(`${place}/`)).map((place) => `${file}: ${place}`),
    );
    expect(named).toEqual([]);
    expect(tarballBytes).toBeLessThan(3 * megabyte);
  });

  test("names exactly what it depends on, and each package that is inside", async () => {
    const own = JSON.parse(await readFile(path.join(saltFolder, "package.json"), "utf8"));
    const { dependencies } = JSON.parse(await readFile(path.join(built, "package.json"), "utf8"));
    const notices = await readFile(path.join(built, "THIRD-PARTY.md"), "utf8");
    for (const [name, version] of Object.entries(own.dependencies)) {
      if (name in dependencies) expect(dependencies[name]).toBe(version);
      else expect(notices).toContain(`## ${name} ${version}\n`);
    }
  });

  test("builds a project's executable, which runs", { timeout: 60_000 }, async () => {
    const { code, stderr } = await runSalt(["build"], options());
    expect(code, stderr).toBe(0);
    const program = path.join(project, "dist", `${process.platform}-${process.arch}`, "main");
    const { stdout } = await execute(program, ["run", "hello", "--input", '{"name":"Ada"}', "--quiet"], { env: {} });
    expect(stdout).toBe('"HELLO, ADA!"\n');
  });

  test("brings its coordinator and agent, which run what it builds for them", { timeout: 60_000 }, async () => {
    const dev = startProcess(["dev", "--once"], options());
    try {
      await dev.said(/registered/);
      const run = await runSalt(["run", "hello", "--input", '{"name":"Ada"}'], options());
      expect(run, run.stderr).toMatchObject({ code: 0, stdout: '"HELLO, ADA!"\n' });
    } finally {
      expect(await dev.stop()).toBe(0);
    }
    // Its first line names the Node that reads it.
    const program = (await readFile(path.join(project, ".salt", "dev", "main"), "utf8")).split("\n").slice(1);
    expect(program.filter((line) => line.includes(folder) || line.includes(saltFolder))).toEqual([]);
  });

  test("gives a project the SDK's types", async () => {
    const own = path.join(folder, "wrong");
    await runSalt(["init", own], options());
    const source =
      'import { task, workflow, z } from "@salt/sdk";\n' +
      'const half = task({ name: "half", input: z.number(), output: z.number() }, (n) => n / 2);\n' +
      'export const w = workflow({ name: "w" }, async () => await half("four"));\n';
    await writeFile(path.join(own, "src", "main.ts"), source);
    const { code, stderr } = await runSalt(["build", own], options());
    expect(code).toBe(1);
    expect(stderr).toMatch(/src\/main\.ts:3:\d+: TS2345: .*'string' is not assignable/);
  });

  test("starts under Node 20 by the Node that it brings, and shows its help within 100 ms otherwise", async () => {
    const old = await execute(process.execPath, [...asNode20, bin, "--help"], { cwd: folder, env });
    expect(old.stdout).toContain("Usage: salt <command>");
    let fastestMs = Number.POSITIVE_INFINITY;
    for (let tries = 0; tries < 20 && fastestMs >= 100; tries++) {
      const startMs = performance.now();
      await execute(process.execPath, [bin, "--help"], { cwd: folder, env });
      fastestMs = Math.min(fastestMs, performance.now() - startMs);
    }
    expect(fastestMs).toBeLessThan(100);
  });
});
