import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { privateEnv, saltFolder } from "./support/salt-process.ts";

const folder = mkdtempSync(path.join(tmpdir(), "salt-demo-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What `npm run demo` executes, without a terminal. */
function runDemo(env: NodeJS.ProcessEnv): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, ["cli/demo.ts"], {
    cwd: saltFolder,
    env: { ...privateEnv(folder), TMPDIR: folder, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const text = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (chunk: string) => {
      text[name] += chunk;
    });
  }
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, ...text })));
}

test("the demo goes the whole way, shows log lines, prints the output and leaves nothing behind", {
  timeout: 70_000,
}, async () => {
  const { code, stdout, stderr } = await runDemo({});
  expect(stderr).toContain("merge Article I │ Article I: 10 parts");
  expect(stderr).toMatch(/run_\w+ succeeded/);
  expect(stderr).toContain("docs/getting-started.md");
  expect(JSON.parse(stdout)).toMatchObject({ words: 4323 });
  expect(code).toBe(0);
  expect(readdirSync(folder).filter((name) => name.startsWith("salt-"))).toEqual([]);
});

test("what fails is named, and the exit code is 1", async () => {
  const cache = path.join(saltFolder, "package.json", "cache");
  const { code, stdout, stderr } = await runDemo({ SALT_CACHE: cache });
  expect(code).toBe(1);
  expect(stdout).toBe("");
  expect(stderr).toContain("package.json");
  expect(readdirSync(folder).filter((name) => name.startsWith("salt-"))).toEqual([]);
});
