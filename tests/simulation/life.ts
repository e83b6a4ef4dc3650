import type { Clock, Timer } from "#shared/ports.ts";
import type { Scheduler } from "./scheduler.ts";

/** Of a machine's wall clock against the virtual time; its monotonic clock only goes on. */
export interface WallClock {
  offsetMs: number;
}

/**
 * One life of a process: what reaches it, its timers and turns come to nothing once it is over, and wait while it is
 * stopped.
 */
export class Life {
  readonly name: string;
  readonly clock: Clock;
  readonly #scheduler: Scheduler;
  #alive = true;
  #held: (() => void)[] | null = null;
  readonly #onEnd: (() => void)[] = [];

  constructor(name: string, scheduler: Scheduler, wall: WallClock, originMs: number) {
    this.name = name;
    this.#scheduler = scheduler;
    this.clock = {
      nowMs: () => Math.floor(scheduler.nowMs + wall.offsetMs),
      monotonicMs: () => scheduler.nowMs + originMs,
      after: (delayMs, callback) => this.#after(delayMs, callback),
      soon: (callback) => void scheduler.in(0, () => this.enter(callback)),
    };
  }

  get alive(): boolean {
    return this.#alive;
  }

  get stopped(): boolean {
    return this.#held !== null;
  }

  /** Has something happen in the process: now, when it goes on, or never. */
  enter(what: () => void): void {
    if (!this.#alive) return;
    if (this.#held === null) what();
    else this.#held.push(what);
  }

  /** Something reaches the process after a while. */
  reach(delayMs: number, what: () => void): void {
    this.#scheduler.in(delayMs, () => this.enter(what));
  }

  /** What the process has sent arrives after a while, whatever becomes of the process. */
  send(delayMs: number, arrives: () => void): void {
    if (this.#alive) this.#scheduler.in(delayMs, arrives);
  }

  /** SIGSTOP. */
  stop(): void {
    if (this.#alive) this.#held ??= [];
  }

  /** SIGCONT: what waited happens in order, each in a turn of its own. */
  go(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const what of held) this.#scheduler.in(0, () => this.enter(what));
  }

  end(): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#held = null;
    for (const callback of this.#onEnd.splice(0)) callback();
  }

  onEnd(callback: () => void): void {
    if (this.#alive) this.#onEnd.push(callback);
    else callback();
  }

  /** As machines have it, a timer takes a millisecond at least. */
  #after(delayMs: number, callback: () => void): Timer {
    let due: (() => void) | null = callback;
    const event = this.#scheduler.in(Math.max(1, delayMs), () => this.enter(() => due?.()));
    return {
      cancel() {
        due = null;
        event.run = null;
      },
    };
  }
}
