import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import type { Cli } from "../cli.ts";
import { runCli } from "../main.ts";

/** Builds of all tests share templates, which take seconds to make. */
export const testCache = path.resolve(import.meta.dirname, "..", "..", "node_modules", ".cache", "salt");

export interface FakeCli extends Cli {
  readonly out: () => string;
  readonly err: () => string;
  /** A Ctrl-C. */
  readonly interrupt: () => void;
}

export interface FakeCliOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly stdin?: string;
  readonly tty?: boolean;
}

/** A command's world, with what it wrote to be looked at. Reads no settings of the machine. */
export function fakeCli(options: FakeCliOptions = {}): FakeCli {
  const texts = { out: "", err: "" };
  const listeners = new Set<() => void>();
  const sink = (name: "out" | "err") => ({
    isTTY: options.tty ?? false,
    columns: 80,
    rows: 24,
    write: (text: string) => {
      texts[name] += text;
    },
  });
  return {
    env: { SALT_CONFIG: "/nonexistent/contexts.json", SALT_CACHE: testCache, PATH: process.env.PATH, ...options.env },
    cwd: options.cwd ?? "/nonexistent",
    stdin: Readable.from([options.stdin ?? ""]),
    stdout: sink("out"),
    stderr: sink("err"),
    nowMs: Date.now,
    onInterrupt(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    exitCode: 0,
    json: false,
    out: () => texts.out,
    err: () => texts.err,
    interrupt: () => {
      for (const listener of listeners) listener();
    },
  };
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export async function salt(argv: readonly string[], options: FakeCliOptions = {}): Promise<Ran> {
  const cli = fakeCli(options);
  const code = await runCli(argv, cli);
  return { code, out: cli.out(), err: cli.err() };
}

/** A folder that is gone after the test file: hand `remove` to `afterAll`. */
export async function temporaryFolder(): Promise<{ folder: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(path.join(tmpdir(), "salt-cli-"));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}
