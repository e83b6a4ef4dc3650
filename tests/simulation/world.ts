import { dirname } from "node:path";
import type { TaskContext } from "#sdk/task/task-context.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import type { FaultPlan } from "./faults.ts";
import type { SimProcess } from "./sim-process.ts";
import type { Trace } from "./trace.ts";

/** One execution of a task's function: an effect that cannot be undone. */
export interface Execution {
  readonly task: string;
  readonly attempt: number;
  readonly fence: number;
  readonly process: string;
  readonly startedAtMs: number;
  endedAtMs: number | null;
}

interface WorldDeps {
  readonly random: SeededRandom;
  readonly trace: Trace;
  readonly faults: FaultPlan["task"];
  readonly nowMs: () => number;
}

/**
 * What the tasks of the simulated project do something to. One world is current at a time: the project's functions are
 * declared once for all.
 */
export class World {
  readonly executions: Execution[] = [];
  /** By folder. */
  readonly processes = new Map<string, SimProcess>();
  /** Fences by work folder's process and task, as the agents noted them. */
  readonly #fences = new Map<string, number>();
  readonly #deps: WorldDeps;
  wild = true;
  /** How long an execution takes, where a test says so. */
  lastsMs: ((execution: Execution) => number) | null = null;

  constructor(deps: WorldDeps) {
    this.#deps = deps;
  }

  /** What an agent writes to its attempt journal. */
  noteGiven(lines: string): void {
    for (const line of lines.split("\n")) {
      if (!line.startsWith('{"j":"given"')) continue;
      const given = JSON.parse(line) as { folder: string; task: string; attempt: number; fence: number };
      this.#fences.set(`${given.folder} ${given.task}`, given.fence);
    }
  }

  /** Executes a task's function, which takes up to `lastsMs`, or longer, and may go wrong by chance. */
  async execute<T>(context: TaskContext, body: () => T, lastsMs = 30): Promise<T> {
    const { random, trace, faults, nowMs } = this.#deps;
    const process = this.processes.get(dirname(dirname(context.folder)));
    if (process === undefined) throw new Error(`no process works in ${context.folder}`);
    const execution: Execution = {
      task: context.task,
      attempt: context.attempt,
      fence: this.#fences.get(`${context.folder} ${context.task}`) ?? 0,
      process: process.life.name,
      startedAtMs: nowMs(),
      endedAtMs: null,
    };
    this.executions.push(execution);
    trace.note(process.life.name, "executes", `${context.task} attempt ${context.attempt} fence ${execution.fence}`);
    process.life.onEnd(() => {
      execution.endedAtMs ??= nowMs();
    });
    try {
      if (random.chance(0.2)) context.log(`works on ${context.task}`);
      const fate = this.wild ? random.float() : 1;
      if (fate < faults.crash) {
        await this.#pass(process, context, random.float() * 20);
        process.exit({ code: 1, signal: null }, true);
      }
      const isHung = fate < faults.crash + faults.hang;
      const isSlow = fate < faults.crash + faults.hang + faults.slow;
      const usualMs = random.float() * (isSlow ? Math.max(4_000, lastsMs) : this.wild ? lastsMs : 30);
      await this.#pass(process, context, isHung ? 600_000 : (this.lastsMs?.(execution) ?? usualMs));
      return body();
    } finally {
      execution.endedAtMs = nowMs();
    }
  }

  #pass(process: SimProcess, context: TaskContext, ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      process.life.clock.after(ms, resolve);
      if (ms > 1_000) context.signal.addEventListener("abort", () => reject(context.signal.reason), { once: true });
    });
  }
}

let current: World | null = null;

export function setWorld(world: World | null): void {
  current = world;
}

export function theWorld(): World {
  if (current === null) throw new Error("no cluster is being simulated");
  return current;
}
