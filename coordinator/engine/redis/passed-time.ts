import type { Clock } from "#shared/ports.ts";
import { HeardTime } from "../heard-time.ts";

/** Q3: the engine's time as this process has heard it, and what has passed since by its own monotonic clock. */
export class PassedTime {
  readonly #time: HeardTime;
  /** How far the server's clock may be behind before it is taken to have been set back: more than clocks drift apart. */
  readonly #behindMsMax: number;
  #heardMs = 0;

  constructor(clock: Clock, behindMsMax: number) {
    this.#time = new HeardTime(clock);
    this.#behindMsMax = behindMsMax;
  }

  /** What the engine's time is at least now; null when nothing was heard. */
  passedMs(): number | null {
    return this.#time.passedMs();
  }

  /** The time that a server says, or what has passed, when its clock was set back. */
  atLeastPassed(serverMs: number): number {
    const passedMs = this.passedMs();
    return passedMs !== null && passedMs - serverMs > this.#behindMsMax ? passedMs : serverMs;
  }

  /** An answer's time; never less than the one before. */
  hear(engineMs: number): number {
    this.#heardMs = Math.max(engineMs, this.#heardMs);
    this.#time.hear(this.#heardMs);
    return this.#heardMs;
  }
}
