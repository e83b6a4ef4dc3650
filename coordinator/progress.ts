import { LRUCache } from "lru-cache";
import { type RunId, runOfTask, type TaskId } from "#shared/domain/ids.ts";
import type { Clock } from "#shared/ports.ts";
import type { AttemptName } from "#shared/protocol/agent.ts";
import { Growth } from "./growth.ts";

/** Tasks of which it is known how far they are; beyond, the one that has been silent for longest is forgotten. */
const tasksMax = 10_000;

/** The latest that an attempt said of how far it is. */
export interface Said extends AttemptName {
  /** 0 to 1. */
  readonly fraction: number | null;
  readonly message: string | null;
  readonly atMs: number;
  /** Counts what is said here: the later, the greater. */
  readonly turn: number;
}

interface HowFar {
  readonly fraction?: number;
  readonly message?: string;
}

export type Saying = AttemptName & HowFar;

/** How often what one task says is told to other coordinators. */
const tellEveryMs = 200;

/**
 * How far tasks are, as they say themselves, here or to another coordinator. It is kept in memory alone: none of it
 * outlives the coordinator, and none of it outlives the lease.
 */
export class ProgressBoard {
  readonly #clock: Clock;
  readonly #said = new LRUCache<TaskId, Said>({ max: tasksMax });
  readonly #growth = new Growth();
  #turn = 0;

  readonly #tell: (said: Saying) => void;

  constructor(clock: Clock, tell: (said: Saying) => void = () => {}) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** The turn of what was said last of all. */
  get turn(): number {
    return this.#turn;
  }

  /** Takes the place of what the task said before. */
  say(attempt: AttemptName, what: HowFar): void {
    const before = this.#said.peek(attempt.task);
    this.hear(attempt, what);
    const pause = this.#clock.nowMs() - (before?.atMs ?? 0);
    if (pause >= tellEveryMs || pause < 0) this.#tell({ task: attempt.task, fence: attempt.fence, ...what });
  }

  /** As `say`, of a task whose lease another coordinator knows. */
  hear(attempt: AttemptName, what: HowFar): void {
    const { task, fence } = attempt;
    const { fraction = null, message = null } = what;
    this.#turn += 1;
    this.#said.set(task, { task, fence, fraction, message, atMs: this.#clock.nowMs(), turn: this.#turn });
    this.#growth.grew(runOfTask(task));
  }

  /** Null when the attempt with this fence said nothing. */
  of(task: TaskId, fence: number): Said | null {
    const said = this.#said.peek(task);
    return said?.fence === fence ? said : null;
  }

  /** What tasks of a run said after a turn, the latest of each, in the order in which they said it. */
  since(run: RunId, turn: number): readonly Said[] {
    const said: Said[] = [];
    for (const one of this.#said.values()) {
      if (one.turn <= turn) break;
      if (one.task.startsWith(run)) said.push(one);
    }
    return said.reverse();
  }

  forget(task: TaskId): void {
    this.#said.delete(task);
  }

  /** Resolves when a task of the run says something, or when `signal` aborts. */
  wait(run: RunId, signal: AbortSignal): Promise<void> {
    return this.#growth.wait(run, signal);
  }
}
