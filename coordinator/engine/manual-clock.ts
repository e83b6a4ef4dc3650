import type { Clock } from "#shared/ports.ts";

/** A clock for tests that moves only when told to. Wall time may be set back; monotonic time only goes on. */
export class ManualClock implements Clock {
  #wallMs: number;
  #monotonicMs = 0;
  readonly #timers = new Set<{ atMs: number; callback: () => void }>();

  constructor(wallMs = Date.UTC(2026, 0, 1)) {
    this.#wallMs = wallMs;
  }

  nowMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  after(delayMs: number, callback: () => void) {
    const timer = { atMs: this.#monotonicMs + delayMs, callback };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  soon(callback: () => void): void {
    setImmediate(callback);
  }

  /** Time passes, and timers that have come due run in order. */
  pass(ms: number): void {
    this.#wallMs += ms;
    this.#monotonicMs += ms;
    const due = [...this.#timers].filter((timer) => timer.atMs <= this.#monotonicMs).sort((a, b) => a.atMs - b.atMs);
    for (const timer of due) if (this.#timers.delete(timer)) timer.callback();
  }

  /** Somebody sets the machine's clock; no time passes. */
  set(wallMs: number): void {
    this.#wallMs = wallMs;
  }
}
