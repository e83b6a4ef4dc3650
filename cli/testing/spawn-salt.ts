import { type ChildProcess, spawn } from "node:child_process";
import path from "node:path";
import { testCache } from "./fake-cli.ts";

export const binFile = path.resolve(import.meta.dirname, "..", "bin.mjs");

export interface SpawnedSalt {
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly err: () => string;
  /** Resolves once what it wrote to stdout or stderr holds the text; rejects when it ends before, or after 20 s. */
  readonly until: (text: string | RegExp) => Promise<void>;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
}

/** The real program, as a user starts it. `nodeArgs` go to Node itself. */
export function spawnSalt(
  argv: readonly string[],
  options: { readonly cwd: string; readonly nodeArgs?: readonly string[]; readonly env?: NodeJS.ProcessEnv },
): SpawnedSalt {
  const env = { PATH: process.env.PATH, HOME: options.cwd, SALT_CACHE: testCache, ...options.env };
  const child = spawn(process.execPath, [...(options.nodeArgs ?? []), binFile, ...argv], {
    cwd: options.cwd,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const texts = { out: "", err: "" };
  const looks = new Set<() => void>();
  const take = (name: "out" | "err") => (chunk: Buffer) => {
    texts[name] += chunk.toString();
    for (const look of looks) look();
  };
  child.stdout.on("data", take("out"));
  child.stderr.on("data", take("err"));
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal }));
  });
  const until = (text: string | RegExp): Promise<void> =>
    new Promise((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`${why} before ${text}:\n${texts.out}${texts.err}`));
      const timer = setTimeout(() => fail("20 s went by"), 20_000);
      const look = () => {
        if (!(texts.out + texts.err).match(text)) return;
        clearTimeout(timer);
        looks.delete(look);
        resolve();
      };
      looks.add(look);
      look();
      void ended.then(() => fail("it ended"));
    });
  return { child, out: () => texts.out, err: () => texts.err, until, ended };
}
