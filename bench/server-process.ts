import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { saltFolder } from "./folders.ts";

const stopWithinMs = 15_000;
const startWithinMs = 20_000;

/** A coordinator, an agent, or the server of a peer, as a process of its own. */
export interface ServerProcess {
  readonly pid: number;
  /** Resolves with what stdout and stderr had so far once that has a match; rejects at its end, or after 20 s. */
  said(pattern: RegExp): Promise<RegExpExecArray>;
  /** SIGTERM, and the end of it. */
  stop(): Promise<void>;
}

export interface ServerOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** Given to Node itself. */
  readonly nodeArgs?: readonly string[];
}

/** Those that were started and have not ended. */
const living = new Set<ChildProcess>();
let isStopped = false;

/**
 * Ends every server and keeps others from being started, so that a benchmark under way fails, and clears up. An agent has
 * to end by itself, for it takes its programs along.
 */
export function stopServers(): void {
  isStopped = true;
  for (const child of living) child.kill("SIGTERM");
}

export function throwIfStopped(): void {
  if (isStopped) throw new Error("The benchmark was stopped.");
}

/** Starts `salt <args>`. */
export function startServer(args: readonly string[], options: ServerOptions): ServerProcess {
  const bin = path.join(saltFolder, "cli", "bin.mjs");
  return startProgram(
    process.execPath,
    { ...options, args: [...(options.nodeArgs ?? []), bin, ...args] },
    `salt ${args[0]}`,
  );
}

/** Starts a program, which errors call by its name. */
export function startProgram(
  file: string,
  options: Omit<ServerOptions, "nodeArgs"> & { readonly args: readonly string[] },
  name: string,
): ServerProcess {
  throwIfStopped();
  const child = spawn(file, options.args, {
    cwd: options.cwd,
    env: options.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  living.add(child);
  child.once("exit", () => living.delete(child));
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      text = (text + chunk).slice(-100_000);
    });
  }
  const failure = (why: string) => new Error(`${name} ${why}:\n${text}`);
  return {
    pid: child.pid ?? 0,
    async said(pattern) {
      const byMs = performance.now() + startWithinMs;
      for (;;) {
        const match = pattern.exec(text);
        if (match !== null) return match;
        if (child.exitCode !== null || child.signalCode !== null) throw failure("ended");
        if (performance.now() > byMs) throw failure(`did not say ${pattern} within ${startWithinMs} ms`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), stopWithinMs);
      await once(child, "exit");
      clearTimeout(late);
    },
  };
}
