import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import type { LaunchOptions, ProcessIdentity, ProgramExit } from "../ports.ts";

/**
 * The launch wrapper: waits for the program and writes its status to a file. It outlives the polite signals that it
 * gets with its group; the program does not inherit that, as a trap with a command is reset for it. Everything that
 * varies comes in as arguments.
 */
const wrapper = 'trap : TERM INT HUP; f=$1; shift; "$@"; s=$?; echo "$s" >"$f"; exit "$s"';

export function launchProgram(
  options: LaunchOptions,
  exited: (exit: ProgramExit | null) => void,
): { readonly pid: number } | null {
  const stdout = openSync(options.stdout, "a", 0o600);
  const stderr = openSync(options.stderr, "a", 0o600);
  try {
    const child: ChildProcess = spawn(
      "/bin/sh",
      ["-c", wrapper, "salt-launch", options.exitFile, options.binary, ...options.args],
      {
        cwd: options.cwd,
        env: { ...options.env },
        detached: true,
        stdio: ["ignore", stdout, stderr],
      },
    );
    child.once("error", () => exited(null));
    child.once("exit", (code, signal) => exited(exitOf(code, signal)));
    child.unref();
    return child.pid === undefined ? null : { pid: child.pid };
  } finally {
    closeSync(stdout);
    closeSync(stderr);
  }
}

/** A shell says of a program ended by signal n that its status is 128 + n. */
function exitOf(code: number | null, signal: NodeJS.Signals | null): ProgramExit {
  const name = code !== null && code > 128 ? signalNames[code - 128] : undefined;
  return name === undefined ? { code, signal } : { code: null, signal: name };
}

const signalNames: Readonly<Record<number, NodeJS.Signals>> = {
  1: "SIGHUP",
  2: "SIGINT",
  3: "SIGQUIT",
  4: "SIGILL",
  6: "SIGABRT",
  8: "SIGFPE",
  9: "SIGKILL",
  11: "SIGSEGV",
  13: "SIGPIPE",
  15: "SIGTERM",
};

/** What the wrapper left, or null when it did not come to that. */
export function readExit(exitFile: string): ProgramExit | null {
  try {
    const text = readFileSync(exitFile, "utf8");
    return /^\d+\n$/.test(text) ? exitOf(Number(text), null) : null;
  } catch {
    return null;
  }
}

/** Signals every process of the group; false when there is none. */
export function signalGroup(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** Of this boot of the machine; empty where none can be told. */
export const bootId: string =
  process.platform === "linux" ? readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim() : "";

/** Null when there is no such process. */
export function identifyProcess(pid: number): ProcessIdentity | null {
  try {
    if (process.platform === "linux") {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      // The second field is the command in parentheses and may hold anything; the start time is the 22nd.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      const startTime = fields[19];
      if (startTime === undefined || fields[0] === "Z") return null;
      return { pid, startTime, bootId };
    }
    const startTime = execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).trim();
    return startTime === "" ? null : { pid, startTime, bootId };
  } catch {
    return null;
  }
}
