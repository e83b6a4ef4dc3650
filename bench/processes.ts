/**
 * What the kernel says of processes (proc(5)). Off Linux there is no such place: CPU and memory are then not measured.
 */
import { readdirSync, readFileSync } from "node:fs";

export const canReadProcesses: boolean = process.platform === "linux";

/** Of `/proc/<pid>/stat` and for all architectures: USER_HZ is 100. */
const ticksPerSecond = 100;

interface ProcessStat {
  readonly parent: number;
  readonly ownMicros: number;
  /** Of children that have ended and were waited for, theirs included. */
  readonly endedMicros: number;
}

/** Null when there is no such process. */
function readStat(pid: number): ProcessStat | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the command in parentheses and may hold anything: what is read comes after it, from field 3.
    const fields = stat
      .slice(stat.lastIndexOf(")") + 2)
      .split(" ")
      .map(Number);
    const micros = (first: number) => (((fields[first] ?? 0) + (fields[first + 1] ?? 0)) / ticksPerSecond) * 1e6;
    return { parent: fields[1] ?? 0, ownMicros: micros(11), endedMicros: micros(13) };
  } catch {
    return null;
  }
}

/** User and system time of a process itself. */
export const cpuMicros = (pid: number): number => readStat(pid)?.ownMicros ?? 0;

/** User and system time of all that came of a process, itself aside: those that have ended too. */
export function cpuMicrosBelow(pid: number): number {
  const stats = new Map(
    readdirSync("/proc").flatMap((name) => {
      const stat = /^\d+$/.test(name) ? readStat(Number(name)) : null;
      return stat === null ? [] : [[Number(name), stat] as const];
    }),
  );
  const isBelow = (stat: ProcessStat): boolean => {
    for (let at: ProcessStat | undefined = stat; at !== undefined; at = stats.get(at.parent)) {
      if (at.parent === pid) return true;
    }
    return false;
  };
  let micros = stats.get(pid)?.endedMicros ?? 0;
  for (const stat of stats.values()) if (isBelow(stat)) micros += stat.ownMicros + stat.endedMicros;
  return micros;
}

/** Resident memory in bytes; 0 when there is no such process. */
export function residentBytes(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** The processes that this one started and that are alive. */
export function childrenOf(pid: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && readStat(Number(name))?.parent === pid)
    .map(Number);
}
