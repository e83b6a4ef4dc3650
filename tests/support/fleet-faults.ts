import { execFileSync } from "node:child_process";
import { rmSync, statfsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { livingPrograms, until } from "./journeys.ts";
import type { Member, SaltFleet } from "./start-fleet.ts";

/** What befalls a fleet, by name. Each resolves with what it did, once that is over and what was killed is back. */
export type Faults = Readonly<Record<string, () => Promise<string>>>;

export interface FaultOptions {
  readonly random: () => number;
  readonly leaseTtlMs: number;
  /** The folder of small size in which one agent keeps its data, or null where none can be made. */
  readonly smallFolder: string | null;
}

export function faultsOf(fleet: SaltFleet, { random, leaseTtlMs, smallFolder }: FaultOptions): Faults {
  const one = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;
  const kill = async (member: Member) => {
    await member.process().stop("SIGKILL");
    await sleep(random() * 500);
    await member.start();
    return `kill -9 ${member.name}`;
  };
  const freeze = async (member: Member) => {
    const { child } = member.process();
    child.kill("SIGSTOP");
    await sleep(leaseTtlMs * 1.5);
    child.kill("SIGCONT");
    return `froze ${member.name} for ${leaseTtlMs * 1.5} ms`;
  };
  const killProgram = async (kind: "task" | "workflow") => {
    const folders = [fleet.folder, ...(smallFolder === null ? [] : [smallFolder])];
    const living = () =>
      folders.flatMap((folder) => livingPrograms({ folder })).filter((program) => program.kind === kind);
    await until(`a ${kind} program lives`, () => living().length > 0, 5_000).catch(() => undefined);
    const programs = living();
    if (programs.length === 0) return `no ${kind} program, as none lives`;
    const { pid } = one(programs);
    process.kill(-pid, "SIGKILL");
    return `kill -9 a ${kind} program`;
  };
  const faults: Record<string, () => Promise<string>> = {
    killCoordinator: () => kill(one(fleet.coordinators)),
    killAgent: () => kill(one(fleet.agents)),
    killTaskProgram: () => killProgram("task"),
    killWorkflowProgram: () => killProgram("workflow"),
    async killRedis() {
      await fleet.redis.kill();
      await sleep(random() * 1_000);
      await fleet.redis.start();
      return "kill -9 Redis";
    },
    async killS3() {
      await fleet.s3.kill();
      await sleep(random() * 500);
      await fleet.s3.restart();
      return "kill -9 the S3 server";
    },
    freezeCoordinator: () => freeze(one(fleet.coordinators)),
    freezeAgent: () => freeze(one(fleet.agents)),
    async cutLine() {
      const line = one(fleet.lines);
      const forMs = Math.round(random() * 1_000);
      line.cut(forMs);
      return `cut the agents' lines to coordinator-${fleet.lines.indexOf(line) + 1} for ${forMs} ms`;
    },
    async stallLine() {
      const line = one(fleet.lines);
      const forMs = Math.round(leaseTtlMs * (0.5 + random()));
      line.stall(forMs);
      await sleep(forMs);
      return `let the agents' lines to coordinator-${fleet.lines.indexOf(line) + 1} stall for ${forMs} ms`;
    },
  };
  if (smallFolder !== null) {
    faults.fillDisk = async () => {
      await fillWhile(smallFolder, 1_000 + random() * 1_000);
      return "filled the disk of agent-1";
    };
  }
  return faults;
}

/** A file system of so many bytes, in memory; null where this user may not mount one. */
export function mountSmallFolder(folder: string, bytes: number): (() => void) | null {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${bytes},mode=0700`, "salt-chaos", folder], { stdio: "ignore" });
  } catch {
    return null;
  }
  return () => void execFileSync("umount", ["-l", folder], { stdio: "ignore" });
}

/** Leaves no room in a folder's file system for a while. */
async function fillWhile(folder: string, forMs: number): Promise<void> {
  const filler = path.join(folder, "filler");
  const { bavail, bsize } = statfsSync(folder);
  try {
    writeFileSync(filler, Buffer.alloc(bavail * bsize));
  } catch {
    // Others wrote meanwhile: the disk is as full as it gets.
  }
  await sleep(forMs);
  rmSync(filler, { force: true });
}
