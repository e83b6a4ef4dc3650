import type { Clock } from "#shared/ports.ts";

const burst = 20;
const everyMs = 5;

/**
 * Keeps a stream of many small events from costing one write each: the first `burst` go out at once, further ones every
 * `everyMs` with what has gathered meanwhile; quiet time fills the allowance up again.
 */
export class Pace {
  readonly #clock: Clock;
  #allowance = burst;
  #atMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#atMs = clock.monotonicMs();
  }

  /** Resolves when the next event may go out. */
  async next(): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    this.#allowance = Math.min(burst, this.#allowance + (nowMs - this.#atMs) / everyMs) - 1;
    this.#atMs = nowMs;
    if (this.#allowance >= 0) return;
    await new Promise<void>((resolve) => {
      this.#clock.after(everyMs, resolve);
    });
  }
}
