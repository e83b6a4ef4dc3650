import type { Clock, Timer } from "#shared/ports.ts";

/**
 * T5: until when works may go on, of those that must not outlast their lease. An agent that was killed or stopped cannot
 * end them; the process does so itself, unless its own thread is taken up by the work.
 */
export class WorkLeases {
  readonly #clock: Clock;
  readonly #kill: () => void;
  readonly #untilMs = new Map<string, number>();
  #watch: { readonly argsId: string; timer: Timer } | null = null;

  constructor(clock: Clock, kill: () => void) {
    this.#clock = clock;
    this.#kill = kill;
  }

  /** Undefined for work that may outlast its lease. */
  hold(argsId: string, untilMs: number | undefined): void {
    if (untilMs !== undefined) this.#untilMs.set(argsId, untilMs);
  }

  /** For what has not ended. */
  extend(argsId: string, untilMs: number): void {
    if (this.#untilMs.has(argsId)) this.#untilMs.set(argsId, untilMs);
  }

  /** Watches over a work from now on. False when its time is over: the process is at its end. */
  begin(argsId: string): boolean {
    const untilMs = this.#untilMs.get(argsId);
    if (untilMs === undefined) return true;
    const leftMs = untilMs - this.#clock.monotonicMs();
    if (leftMs <= 0) {
      this.#kill();
      return false;
    }
    // What has put it off meanwhile is seen then.
    this.#watch = { argsId, timer: this.#clock.after(leftMs, () => this.begin(argsId)) };
    return true;
  }

  end(argsId: string): void {
    this.#untilMs.delete(argsId);
    if (this.#watch?.argsId !== argsId) return;
    this.#watch.timer.cancel();
    this.#watch = null;
  }
}
