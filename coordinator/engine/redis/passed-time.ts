import type { Clock } from "#shared/ports.ts";

/** Q3: the engine's time as this process has heard it, and what has passed since by its own monotonic clock. */
export class PassedTime {
  readonly #clock: Clock;
  /** How far the server's clock may be behind before it is taken to have been set back: more than clocks drift apart. */
  readonly #behindMsMax: number;
  #heard: { readonly engineMs: number; readonly monotonicMs: number } | null = null;

  constructor(clock: Clock, behindMsMax: number) {
    this.#clock = clock;
    this.#behindMsMax = behindMsMax;
  }

  /** What the engine's time is at least now; null when nothing was heard. */
  passedMs(): number | null {
    if (this.#heard === null) return null;
    return Math.floor(this.#heard.engineMs + this.#clock.monotonicMs() - this.#heard.monotonicMs);
  }

  /** The time that a server says, or what has passed, when its clock was set back. */
  atLeastPassed(serverMs: number): number {
    const passedMs = this.passedMs();
    return passedMs !== null && passedMs - serverMs > this.#behindMsMax ? passedMs : serverMs;
  }

  /** An answer's time; never less than the one before. */
  hear(engineMs: number): number {
    const nowMs = Math.max(engineMs, this.#heard?.engineMs ?? 0);
    this.#heard = { engineMs: nowMs, monotonicMs: this.#clock.monotonicMs() };
    return nowMs;
  }
}
