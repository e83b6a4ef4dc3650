import type { ProgramExit } from "#agent/ports.ts";
import { declared } from "#sdk/declare/registry.ts";
import type { ProcessHost } from "#sdk/program/program.ts";
import { serveWork } from "#sdk/program/serve-work.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import type { Life } from "./life.ts";
import type { SimMachine } from "./sim-machine.ts";
import type { Trace } from "./trace.ts";
import type { World } from "./world.ts";

interface ProcessDeps {
  readonly pid: number;
  readonly life: Life;
  readonly folder: string;
  readonly machine: SimMachine;
  readonly env: Readonly<Record<string, string>>;
  readonly random: SeededRandom;
  readonly world: World;
  readonly trace: Trace;
  readonly startedAtMs: number;
  readonly ended: (exit: ProgramExit, leavesFile: boolean) => void;
}

const lonelyMs = 10 * 60_000;

/** A program of the project: the real SDK, in a process that is simulated. */
export class SimProcess {
  readonly life: Life;
  readonly startedAtMs: number;
  readonly #deps: ProcessDeps;

  constructor(deps: ProcessDeps) {
    this.#deps = deps;
    this.life = deps.life;
    this.startedAtMs = deps.startedAtMs;
  }

  begin(): void {
    const { life, random, machine, env, pid, folder, world } = this.#deps;
    world.processes.set(folder, this);
    serveWork({
      clock: life.clock,
      random,
      registry: declared,
      host: this.#host(),
      session: env.SALT_SESSION ?? "",
      pid,
      argsId: null,
      dial: (events) => machine.connect(env.SALT_SOCKET ?? "", life, events),
      keepAlive: () => ({ release() {} }),
      lonelyMs,
    });
  }

  /** A process ended by itself leaves its status; of one whose whole group was killed nobody does. */
  exit(exit: ProgramExit, leavesFile: boolean): void {
    if (!this.life.alive) return;
    this.#deps.trace.note(this.life.name, "exits", JSON.stringify(exit));
    this.life.end();
    this.#deps.ended(exit, leavesFile);
  }

  signal(signal: NodeJS.Signals): boolean {
    if (!this.life.alive) return false;
    this.exit({ code: null, signal }, signal !== "SIGKILL");
    return true;
  }

  #host(): ProcessHost {
    const { machine, folder } = this.#deps;
    const path = (stream: string) => `${folder}/logs/${stream}`;
    const sizeOf = (stream: string) => Buffer.byteLength(machine.disk.read(path(stream)) ?? "");
    let texts = 0;
    return {
      texts: {
        read(file) {
          const text = machine.disk.read(file);
          if (text === null) throw new Error(`there is no file ${file}`);
          return text;
        },
        write: (within, text) => {
          texts += 1;
          const file = `${within}/.salt-value-${texts}.json`;
          machine.disk.write(file, text);
          return file;
        },
      },
      enter() {},
      leave: () => true,
      offsets: () => ({ stdout: sizeOf("stdout"), stderr: sizeOf("stderr") }),
      hashFile: () => Promise.reject(new Error("there are no files here")),
      writeLine: (line) => machine.print(path("stdout"), `${line}\n`),
      writeError: (error) => machine.print(path("stderr"), `${error}\n`),
      exit: (code) => this.exit({ code, signal: null }, true),
      kill: () => this.exit({ code: null, signal: "SIGKILL" }, false),
    };
  }
}
