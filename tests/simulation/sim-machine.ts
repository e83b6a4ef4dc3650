import { dirname } from "node:path";
import { systemPexFiles } from "#agent/cache/pex-files.ts";
import type {
  LaunchOptions,
  LogFiles,
  Machine,
  Processes,
  ProgramExit,
  ProgramLink,
  StreamName,
} from "#agent/ports.ts";
import { type AgentId, newId } from "#shared/domain/ids.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import { Life, type WallClock } from "./life.ts";
import { LocalSocket } from "./local-socket.ts";
import type { Network } from "./network.ts";
import type { Scheduler } from "./scheduler.ts";
import { type SharedBlobs, simBinaryFiles, simValues } from "./sim-blobs.ts";
import { MachineDisk } from "./sim-disk.ts";
import { SimProcess } from "./sim-process.ts";
import type { Trace } from "./trace.ts";
import type { World } from "./world.ts";

export interface MachineDeps {
  readonly name: string;
  readonly scheduler: Scheduler;
  readonly random: SeededRandom;
  readonly trace: Trace;
  readonly network: Network;
  readonly blobs: SharedBlobs;
  readonly world: World;
}

/** A machine with a disk, a wall clock, at most one agent, and the programs that its agents have started. */
export class SimMachine {
  readonly name: string;
  readonly disk: MachineDisk;
  readonly wall: WallClock;
  readonly processes = new Map<number, SimProcess>();
  readonly #deps: MachineDeps;
  readonly #logWatchers = new Set<(path: string) => void>();
  readonly #listeners = new Map<string, { life: Life; met: (link: ProgramLink) => void }>();
  #boots = 1;
  #lives = 0;
  #lastPid = 1_000;

  constructor(deps: MachineDeps) {
    this.#deps = deps;
    this.name = deps.name;
    this.disk = new MachineDisk(deps.random);
    this.disk.onLines = (text) => deps.world.noteGiven(text);
    // Skewed by up to a day either way (A24).
    this.wall = { offsetMs: Date.UTC(2026, 0, 1) + deps.random.between(-86_400_000, 86_400_000) };
  }

  /** A process of this machine. */
  newLife(name: string): Life {
    return new Life(name, this.#deps.scheduler, this.wall, 50_000 + 7 * this.#boots);
  }

  /** The machine as one life of its agent meets it. */
  for(life: Life): Machine {
    const { disk, name } = this;
    const { network, blobs, random } = this.#deps;
    return {
      dial: network.dialFrom(life),
      disk: disk.for(life),
      processes: this.#processesFor(life),
      async openDataFolder(path, deps) {
        const known = disk.read(`${path}/agent.json`);
        const id = (known ?? newId("agt", deps.clock, random)) as AgentId;
        if (known === null) disk.write(`${path}/agent.json`, id, true);
        return { path, id, socketFolder: `/sockets/${name}`, close() {} };
      },
      createBlobClient: () => blobs.clientOf(life, disk),
      createBinaryFiles: (folder) => simBinaryFiles(disk, folder),
      findPythons: async () => [],
      pexFiles: systemPexFiles,
      createValues: (deps) => simValues(disk, deps),
      keepAlive: () => ({ release() {} }),
    };
  }

  nextLifeName(): string {
    this.#lives += 1;
    return `${this.name}.${this.#lives}`;
  }

  /** The machine ends with all that runs on it, and what was not synced. */
  crash(): void {
    for (const process of this.processes.values()) process.life.end();
    this.processes.clear();
    this.#listeners.clear();
    this.disk.crash();
    this.#boots += 1;
  }

  #processesFor(life: Life): Processes {
    const bootId = String(this.#boots);
    return {
      bootId,
      launch: (options, exited) => this.#launch(life, options, exited),
      signalGroup: (pid, signal) => this.processes.get(pid)?.signal(signal) ?? false,
      identify: (pid) => {
        const process = this.processes.get(pid);
        return process ? { pid, startTime: String(process.startedAtMs), bootId } : null;
      },
      readExit: (file) => {
        try {
          return JSON.parse(this.disk.read(file) ?? "null") as ProgramExit | null;
        } catch {
          return null; // Half of it was written when the machine ended.
        }
      },
      listen: async (path, met) => {
        this.#listeners.set(path, { life, met });
        return {
          close: () => {
            if (this.#listeners.get(path)?.life === life) this.#listeners.delete(path);
          },
        };
      },
      openLogFiles: (folder, changed) => this.#openLogs(life, folder, changed),
      openWorkFolders: simWorkFolders,
    };
  }

  #launch(agent: Life, options: LaunchOptions, exited: (exit: ProgramExit | null) => void): { pid: number } | null {
    const { scheduler, random, trace, world } = this.#deps;
    this.#lastPid += 1;
    const pid = this.#lastPid;
    const folder = dirname(options.exitFile);
    const life = this.newLife(`${this.name}/${pid}`);
    const process = new SimProcess({
      ...{ pid, life, folder, random, world, trace },
      machine: this,
      env: options.env,
      startedAtMs: scheduler.nowMs,
      ended: (exit, leavesFile) => {
        this.processes.delete(pid);
        if (leavesFile && !this.disk.full) this.disk.write(options.exitFile, JSON.stringify(exit));
        agent.reach(1, () => exited(exit));
      },
    });
    this.processes.set(pid, process);
    trace.note(life.name, "spawned", `by ${agent.name}`);
    life.reach(3 + random.float() * 60, () => process.begin());
    return { pid };
  }

  /** A program dials its agent. */
  connect(path: string, program: Life, events: ConstructorParameters<typeof LocalSocket>[0]["events"]) {
    const listener = this.#listeners.get(path);
    if (!listener?.life.alive) {
      program.reach(0.1, () => events.closed());
      return { write() {}, destroy() {} };
    }
    const { random, scheduler } = this.#deps;
    return new LocalSocket({
      ...{ program, events },
      agent: listener.life,
      met: listener.met,
      latencyMs: () => 0.02 + random.float() * 0.15,
      nowMs: () => scheduler.nowMs,
    });
  }

  #openLogs(life: Life, folder: string, changed: () => void): LogFiles {
    const path = (stream: StreamName) => `${folder}/${stream}`;
    const watch = (name: string) => name.startsWith(`${folder}/`) && life.enter(changed);
    this.#logWatchers.add(watch);
    life.onEnd(() => this.#logWatchers.delete(watch));
    const bytes = (stream: StreamName) => Buffer.from(this.disk.read(path(stream)) ?? "");
    return {
      size: (stream) => bytes(stream).length,
      read: (stream, position, into) => {
        const part = bytes(stream).subarray(position, position + into.length);
        into.set(part);
        return part.length;
      },
      close: () => void this.#logWatchers.delete(watch),
    };
  }

  /** A program prints. */
  print(path: string, text: string): void {
    try {
      this.disk.write(path, (this.disk.read(path) ?? "") + text);
    } catch {
      return; // The disk is full: the program's output is lost, as on a real one.
    }
    for (const watch of this.#logWatchers) watch(path);
  }
}

function simWorkFolders(root: string, given: readonly string[] = []) {
  const taken = new Set(given);
  const path = (index: number) => `${root}/${index}`;
  return {
    give() {
      let index = 0;
      while (taken.has(path(index))) index += 1;
      taken.add(path(index));
      return path(index);
    },
    take(folder: string) {
      taken.delete(folder);
      return null;
    },
    close() {},
  };
}
