import { spawn } from "node:child_process";

export interface ProcessEnd {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Ended by us because it took longer than `timeoutMs`. */
  readonly timedOut: boolean;
}

export interface ProcessOptions {
  readonly cwd: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly timeoutMs: number;
  /** Output beyond this is dropped. Default 4 MiB. */
  readonly outputCharsMax?: number;
}

/** Executes a program to its end, without a shell and with nothing on its stdin. Rejects only when it cannot start. */
export function runProcess(command: readonly string[], options: ProcessOptions): Promise<ProcessEnd> {
  const [file = "", ...args] = command;
  const outputCharsMax = options.outputCharsMax ?? 4 * 1024 * 1024;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const texts = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (text: string) => {
        if (texts[name].length < outputCharsMax) texts[name] += text;
      });
    }
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill("SIGKILL");
    }, options.timeoutMs);
    child.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on("close", (status, signal) => {
      clearTimeout(timer);
      resolve({ status, signal, ...texts, timedOut });
    });
  });
}
