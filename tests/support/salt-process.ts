import { type ChildProcess, spawn } from "node:child_process";
import path from "node:path";

/** The folder of this checkout. */
export const saltFolder = path.resolve(import.meta.dirname, "../..");
const bin = path.join(saltFolder, "cli", "bin.mjs");

/** What builds of all tests share: the large part of an executable is then made once a machine. */
export const testCache = path.join(saltFolder, "node_modules", ".cache", "salt");

/** A process of `salt` that goes on until it is stopped. */
export interface SaltProcess {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Resolves with how it ended. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** Sends a signal and waits for the end. Default SIGTERM; what has not ended after 10 s is killed. */
  stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals>;
  /** Waits until stderr (or stdout) has a match. Rejects, with what was written, at the process's end or after 60 s. */
  said(pattern: RegExp, where?: "stdout" | "stderr"): Promise<RegExpExecArray>;
}

export interface SaltOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** The `bin.mjs` to execute. Default: this checkout's. */
  readonly bin?: string;
  /** Given to it as stdin. Default: nothing. */
  readonly input?: string;
  /** Default 60,000 ms. */
  readonly timeoutMs?: number;
}

/** Starts `salt <args>`. */
export function startProcess(args: readonly string[], options: SaltOptions): SaltProcess {
  const child = spawn(process.execPath, [options.bin ?? bin, ...args], {
    cwd: options.cwd,
    env: options.env,
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.end(options.input ?? "");
  const text = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (chunk: string) => {
      text[name] += chunk;
    });
  }
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once("close", (code, signal) => resolve(code ?? signal ?? 1));
  });
  return {
    child,
    stdout: () => text.stdout,
    stderr: () => text.stderr,
    ended,
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      const late = setTimeout(() => child.kill("SIGKILL"), 10_000);
      const end = await ended;
      clearTimeout(late);
      return end;
    },
    said: (pattern, where = "stderr") =>
      new Promise((resolve, reject) => {
        const fail = (why: string) => reject(new Error(`salt ${args.join(" ")} ${why}:\n${text.stdout}${text.stderr}`));
        const late = setTimeout(() => fail(`did not say ${pattern} within 60 s`), 60_000);
        const look = () => {
          const match = pattern.exec(text[where]);
          if (match === null) return;
          clearTimeout(late);
          child[where].off("data", look);
          resolve(match);
        };
        child[where].on("data", look);
        look();
        void ended.then((end) => {
          clearTimeout(late);
          fail(`ended with ${end}`);
        });
      }),
  };
}

export interface SaltEnd {
  /** The exit code, or the signal that ended it. */
  readonly code: number | NodeJS.Signals;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `salt <args>` to its end. */
export async function runSalt(args: readonly string[], options: SaltOptions): Promise<SaltEnd> {
  const started = startProcess(args, options);
  const late = setTimeout(() => started.child.kill("SIGKILL"), options.timeoutMs ?? 60_000);
  const code = await started.ended;
  clearTimeout(late);
  return { code, stdout: started.stdout(), stderr: started.stderr() };
}

/** An environment in which `salt` knows nothing of the user who runs the tests, and touches nothing of theirs. */
export function privateEnv(folder: string): NodeJS.ProcessEnv {
  const kept = ["PATH", "LANG", "SystemRoot", "LOCALAPPDATA"].flatMap((name) =>
    process.env[name] === undefined ? [] : [[name, process.env[name]] as const],
  );
  return {
    ...Object.fromEntries(kept),
    HOME: folder,
    XDG_CONFIG_HOME: path.join(folder, "config"),
    XDG_DATA_HOME: path.join(folder, "share"),
    SALT_CACHE: testCache,
    NO_COLOR: "1",
    CI: "1",
  };
}
