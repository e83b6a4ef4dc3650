import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DocBlock, docBlocks, hasLines } from "./support/doc-blocks.ts";
import { privateEnv, saltFolder } from "./support/salt-process.ts";

const pages = { gettingStarted: readFileSync(path.join(saltFolder, "docs", "getting-started.md"), "utf8") };

/**
 * A shell that the page's reader would have: one folder, one set of variables, in which blocks are executed one after
 * another, and terminals of their own for those that go on.
 */
class Terminal {
  readonly #folder: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #background: { child: ChildProcess; text: () => string; seen: number }[] = [];

  constructor(folder: string, env: NodeJS.ProcessEnv) {
    this.#folder = folder;
    this.#env = env;
  }

  /** Executes a block in the state that the one before left. */
  async run(script: string): Promise<{ code: number | null; stdout: string; stderr: string }> {
    const state = path.join(this.#folder, "state.sh");
    const text = `. ${state}\nset -e\n${script}\nset +e\n{ declare -p run 2>/dev/null; echo "cd '$PWD'"; } > ${state}\n`;
    const { child, stdout, stderr } = this.#start(text);
    const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
    return { code, stdout: stdout(), stderr: stderr() };
  }

  /** Starts a block that goes on. */
  background(script: string): void {
    const { child, stdout, stderr } = this.#start(`. ${path.join(this.#folder, "state.sh")}\n${script}\n`);
    this.#background.push({ child, text: () => stdout() + stderr(), seen: 0 });
  }

  /** Waits until the last block in the background that could say it has said so, once more than before. */
  async waitFor(pattern: RegExp): Promise<void> {
    const byMs = performance.now() + 60_000;
    for (;;) {
      for (const each of this.#background) {
        const match = pattern.exec(each.text().slice(each.seen));
        if (match === null) continue;
        each.seen += match.index + match[0].length;
        return;
      }
      if (performance.now() > byMs)
        throw new Error(`Nothing said ${pattern}: ${this.#background.map((b) => b.text())}`);
      await sleep(25);
    }
  }

  async close(): Promise<void> {
    for (const { child } of this.#background.reverse()) {
      if (child.exitCode !== null || child.pid === undefined) continue;
      const ended = new Promise((resolve) => child.once("close", resolve));
      process.kill(-child.pid, "SIGTERM");
      const late = setTimeout(() => child.pid && process.kill(-child.pid, "SIGKILL"), 15_000);
      await ended;
      clearTimeout(late);
    }
  }

  #start(script: string) {
    const child = spawn("bash", ["-c", script], {
      cwd: this.#folder,
      env: this.#env,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const text = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (chunk: string) => {
        text[name] += chunk;
      });
    }
    return { child, stdout: () => text.stdout, stderr: () => text.stderr };
  }
}

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
    let last = { code: 0 as number | null, stdout: "", stderr: "" };
    for (const block of docBlocks(page)) {
      const [language, kind] = block.info;
      if (language === "sh" && kind === "background") terminal.background(block.text);
      if (language === "sh" && kind === "background" && block.text === "salt dev") await waitFor("registered");
      if (language === "sh" && kind === "run") {
        await waitFor(wordAfter(block));
        last = await terminal.run(block.text);
        expect(last.code, `line ${block.line}: ${block.text}\n${last.stdout}${last.stderr}`).toBe(0);
      }
      if (kind === "output") {
        expect(hasLines(last.stdout, block.text), `line ${block.line}: ${block.text}\nis not in\n${last.stdout}`).toBe(
          true,
        );
      }
    }
  });

  const wordAfter = (block: DocBlock) => block.info.find((word) => word.startsWith("after="))?.slice("after=".length);

  async function waitFor(word: string | undefined): Promise<void> {
    const pattern = word === undefined ? undefined : sayings[word];
    if (pattern !== undefined) await terminal.waitFor(pattern);
  }

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

function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
