import type { Clock } from "#shared/ports.ts";

/** C2: the engine's time, as far as this process can know: what an answer last said, and what has passed since. */
export class HeardTime {
  readonly #clock: Clock;
  #heard: { readonly engineMs: number; readonly monotonicMs: number } | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  hear(engineMs: number): void {
    this.#heard = { engineMs, monotonicMs: this.#clock.monotonicMs() };
  }

  /** Null when nothing was heard. */
  passedMs(): number | null {
    if (this.#heard === null) return null;
    return Math.floor(this.#heard.engineMs + this.#clock.monotonicMs() - this.#heard.monotonicMs);
  }

  /** By the machine's clock when nothing was heard. */
  nowMs(): number {
    return this.passedMs() ?? this.#clock.nowMs();
  }
}
