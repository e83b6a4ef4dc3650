import type { RunId } from "#shared/domain/ids.ts";

/** Wakes those who wait for a run's journal to grow by a commit of this coordinator. A hint: waits end by themselves too. */
export class Growth {
  readonly #waiting = new Map<RunId, Set<() => void>>();

  grew(run: RunId): void {
    for (const wake of this.#waiting.get(run) ?? []) wake();
  }

  /** Resolves at the next growth, or when `signal` aborts. */
  wait(run: RunId, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(run) ?? new Set();
      this.#waiting.set(run, waiting);
      const wake = () => {
        waiting.delete(wake);
        if (waiting.size === 0) this.#waiting.delete(run);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      waiting.add(wake);
      signal.addEventListener("abort", wake);
      if (signal.aborted) wake();
    });
  }
}
