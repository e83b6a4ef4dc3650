import type { Readable } from "node:stream";

/** A place that text is written to: a terminal, a pipe or a file. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** What a command meets of the world, so that tests can stand in for it. */
export interface Cli {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly stdin: Readable & { readonly isTTY?: boolean };
  /** Data only. */
  readonly stdout: Sink;
  /** Everything else: progress, notes, prompts, errors. */
  readonly stderr: Sink;
  readonly nowMs: () => number;
  /** Calls `listener` at each Ctrl-C (SIGINT) from now on, in place of ending the process. Returns how to stop that. */
  readonly onInterrupt: (listener: () => void) => () => void;
  /** What the process ends with; 0 until a command says otherwise. */
  exitCode: number;
  /** A command was given `--json`: errors are told as JSON too. */
  json: boolean;
}

export function systemCli(): Cli {
  // Whoever reads our output may have seen enough: `salt runs list | head -1`.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
  return {
    env: process.env,
    cwd: process.cwd(),
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    nowMs: Date.now,
    onInterrupt(listener) {
      process.on("SIGINT", listener);
      return () => process.off("SIGINT", listener);
    },
    exitCode: 0,
    json: false,
  };
}

/** A line for people. */
export function note(cli: Cli, line: string): void {
  cli.stderr.write(`${line}\n`);
}

/** No prompt and no moving picture without a terminal, and none in CI. */
export const isInteractive = (cli: Cli): boolean =>
  Boolean(cli.stdin.isTTY && cli.stderr.isTTY) && !cli.env.CI && cli.env.TERM !== "dumb";
export const canRepaint = (cli: Cli): boolean => Boolean(cli.stderr.isTTY) && !cli.env.CI && cli.env.TERM !== "dumb";
