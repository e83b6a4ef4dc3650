import { readFileSync } from "node:fs";

/** Whether there is such a process, and it has not ended. */
export function isRunning(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
  } catch {
    return false;
  }
}
