import { readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { docBlocks } from "./support/doc-blocks.ts";
import { runBlocks, Terminal } from "./support/doc-terminal.ts";
import { freePort } from "./support/free-port.ts";
import { privateEnv, saltFolder } from "./support/salt-process.ts";

const pages = { gettingStarted: readFileSync(path.join(saltFolder, "docs", "getting-started.md"), "utf8") };

/** What a block waits for, by the word behind `after=`. */
const sayings: Readonly<Record<string, RegExp>> = {
  registered: /✔ my-flow .*registered/,
  listens: /not shown again/,
  connected: /Connected to the coordinator/,
};

describe("getting-started.md", () => {
  let folder: string;
  let terminal: Terminal;

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "salt-docs-"));
    const bin = path.join(folder, "bin");
    await mkdir(bin);
    const command = `#!/bin/sh\nexec "${process.execPath}" "${path.join(saltFolder, "cli", "bin.mjs")}" "$@"\n`;
    await writeFile(path.join(bin, "salt"), command);
    await chmod(path.join(bin, "salt"), 0o755);
    await writeFile(path.join(folder, "state.sh"), "");
    const env = privateEnv(folder);
    terminal = new Terminal(folder, { ...env, PATH: `${bin}:${env.PATH ?? ""}` });
  });
  afterAll(async () => {
    await terminal?.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }, 60_000);

  test("every command of the page does what the page says", { timeout: 180_000 }, async () => {
    // The page names a port; another may be using it here.
    const page = pages.gettingStarted.replaceAll("7421", String(await freePort()));
    await runBlocks(terminal, docBlocks(page), sayings);
  });

  test("it shows nothing to type that is not executed, save what makes the clone ready", () => {
    const typed = docBlocks(pages.gettingStarted).filter(({ info }) => info[0] === "sh" && info.length === 1);
    expect(typed.map(({ text }) => text)).toEqual(["npm ci\nnpm link"]);
  });

  test("its code is the template's", async () => {
    const source = await readFile(path.join(saltFolder, "cli", "templates", "hello", "src", "main.ts"), "utf8");
    const code = docBlocks(pages.gettingStarted).find(({ info }) => info[0] === "ts")?.text ?? "";
    const lines = source.split("\n").map((line) => line.trim());
    expect(code.split("\n").filter((line) => !lines.includes(line.trim()))).toEqual([]);
  });
});
