import { type ChildProcess, spawn } from "node:child_process";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { type DocBlock, hasLines } from "./doc-blocks.ts";

/**
 * A shell that the page's reader would have: one folder, one set of variables, in which blocks are executed one after
 * another, and terminals of their own for those that go on. `$run` and `$PATH` go on from block to block.
 */
export class Terminal {
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
    const text = `. ${state}\nset -e\n${script}\nset +e\n{ declare -p run PATH 2>/dev/null; echo "cd '$PWD'"; } > ${state}\n`;
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

/**
 * Executes the blocks of a page, in order, and holds what they print against what the page says. Behind `sh` stands `run`, or
 * `background` for what goes on; `after=<word>` and `until=<word>` wait for a saying before and after the block. A block
 * `output` shows lines of the stdout of the one before, `told` of its stderr.
 */
export async function runBlocks(
  terminal: Terminal,
  blocks: readonly DocBlock[],
  sayings: Readonly<Record<string, RegExp>>,
): Promise<void> {
  const waitFor = async (block: DocBlock, when: "after" | "until") => {
    const word = block.info.find((one) => one.startsWith(`${when}=`))?.slice(`${when}=`.length);
    if (word === undefined) return;
    const saying = sayings[word];
    if (saying === undefined) throw new Error(`Line ${block.line} waits for '${word}', which is no saying.`);
    await terminal.waitFor(saying);
  };
  let last = { stdout: "", stderr: "" };
  for (const block of blocks) {
    const [language, kind] = block.info;
    const at = `line ${block.line}: ${block.text}`;
    if (language === "sh") await waitFor(block, "after");
    if (language === "sh" && kind === "background") terminal.background(block.text);
    if (language === "sh" && kind === "run") {
      const { code, ...printed } = await terminal.run(block.text);
      expect(code, `${at}\n${printed.stdout}${printed.stderr}`).toBe(0);
      last = printed;
    }
    if (language === "sh") await waitFor(block, "until");
    if (kind !== "output" && kind !== "told") continue;
    const text = kind === "output" ? last.stdout : last.stderr;
    expect(hasLines(text, block.text), `${at}\nis not in\n${text}`).toBe(true);
  }
}
