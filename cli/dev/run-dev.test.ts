import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { initProject } from "../init-project.ts";
import { temporaryFolder } from "../testing/fake-cli.ts";
import { type SpawnedSalt, spawnSalt } from "../testing/spawn-salt.ts";

let folder = "";
let remove = async () => {};
let project = "";
let dev: SpawnedSalt | null = null;

beforeAll(async () => {
  ({ folder, remove } = await temporaryFolder());
  project = path.join(folder, "my-flow");
  await initProject({ env: {}, folder: project, template: "hello" });
});
afterAll(async () => {
  dev?.child.kill("SIGKILL");
  await dev?.ended;
  await remove();
});

async function saltIn(cwd: string, ...argv: string[]) {
  const ran = spawnSalt(argv, { cwd });
  const { code } = await ran.ended;
  return { code, out: ran.out(), err: ran.err() };
}

it("salt dev runs a project end to end, takes up each save, and stops without a trace", async () => {
  dev = spawnSalt(["dev", "--port", "0"], { cwd: project });
  await dev.until("Watching for saves");
  expect(dev.err()).toContain("registered hello");

  const devFile = path.join(project, ".salt", "dev.json");
  expect((await stat(devFile)).mode & 0o777).toBe(0o600);

  // No settings: the project's folder, or one within it, says where.
  const ran = await saltIn(path.join(project, "src"), "run", "hello", "--input", '{"name":"Ada"}');
  expect(ran).toMatchObject({ code: 0, out: '"HELLO, ADA!"\n' });
  expect(ran.err).toContain("greet#1 │ greeting Ada");
  expect((await saltIn(project, "agents", "list", "--json", "name,connected")).out).toBe(
    '[{"name":"dev","connected":true}]\n',
  );
  const doctor = await saltIn(project, "doctor", "--json", "name,state");
  expect(JSON.parse(doctor.out)).toContainEqual({ name: "token", state: "fine" });

  const second = await saltIn(project, "dev", "--port", "0");
  expect(second.code).toBe(1);
  expect(second.err).toMatch(/^salt dev runs in this folder already, on http:\/\/127\.0\.0\.1:\d+\.\n/);

  const main = path.join(project, "src", "main.ts");
  const source = await readFile(main, "utf8");
  await writeFile(main, source.replace("Hello,", "Good day,").replace("text.toUpperCase()", "text.toUpercase()"));
  await dev.until(/src\/main\.ts:\d+:\d+: TS2\d+: .*toUpercase/);
  const stillOld = await saltIn(project, "run", "hello", "--input", "{}", "--no-logs");
  expect(stillOld.out).toBe('"HELLO, WORLD!"\n');
  await writeFile(main, source.replace("Hello,", "Good day,"));
  await dev.until(/registered hello[\s\S]*registered hello/);
  expect((await saltIn(project, "run", "hello", "--input", "{}")).out).toBe('"GOOD DAY, WORLD!"\n');

  dev.child.kill("SIGINT");
  expect(await dev.ended).toEqual({ code: 0, signal: null });
  expect(await readdir(path.join(project, ".salt"))).not.toContain("dev.json");
  expect((await saltIn(project, "runs", "list", "--url", "http://127.0.0.1:1")).code).toBe(5);
}, 60_000);

it("salt register-workflow and salt agent do the same at a coordinator of their own", async () => {
  const data = path.join(folder, "coordinator");
  const coordinator = spawnSalt(["coordinator", "--port", "0", "--data", data, "--log-level", "warn"], { cwd: folder });
  await coordinator.until(/salt_\w+\n/);
  await coordinator.until("listens on http");
  const url = /http:\/\/127\.0\.0\.1:\d+/.exec(coordinator.err())?.[0] ?? "";
  const env = { SALT_URL: url, SALT_TOKEN: coordinator.out().trim() };
  const run = async (...argv: string[]) => {
    const ran = spawnSalt(argv, { cwd: project, env });
    return { code: (await ran.ended).code, out: ran.out(), err: ran.err() };
  };

  const registered = await run("register-workflow");
  expect(registered).toMatchObject({
    code: 0,
    out: expect.stringMatching(/my-flow {2}rel_\w+\n {2}workflows {2}hello\n/),
  });
  expect((await run("register")).out).toContain("(registered before)");

  const { out: token } = await run("tokens", "create", "site", "--role", "agent");
  const argv = [
    "agent",
    "--token",
    token.trim(),
    "--data",
    path.join(folder, "agent"),
    "--label",
    "zone=eu",
    "--slots",
    "1",
  ];
  const agent = spawnSalt(argv, { cwd: folder, env: { SALT_URL: url } });
  expect(await run("run", "hello", "--input", '{"name":"Bo"}')).toMatchObject({ code: 0, out: '"GOOD DAY, BO!"\n' });
  expect((await run("agents", "list", "--label", "zone=eu", "--json", "capacity.tasks")).out).toBe(
    '[{"capacity.tasks":1}]\n',
  );

  agent.child.kill("SIGTERM");
  expect(await agent.ended).toEqual({ code: 0, signal: null });
  expect((await run("agents", "list", "--json", "connected")).out).toBe('[{"connected":false}]\n');
  coordinator.child.kill("SIGTERM");
  expect((await coordinator.ended).code).toBe(0);
}, 60_000);
