import type { RunId } from "#shared/domain/ids.ts";
import type { Clock } from "#shared/ports.ts";
import type { ProgressBoard, Said } from "../progress.ts";

export interface FeedDeps {
  readonly clock: Clock;
  readonly progress: ProgressBoard;
}

const tellEveryMs = 200;

/** What one stream tells of the progress of a run's tasks: of each task at most once in 200 ms, and then the latest. */
export class ProgressFeed {
  readonly #deps: FeedDeps;
  readonly #run: RunId;
  #turn = 0;
  #toldAtMs = Number.NEGATIVE_INFINITY;

  constructor(deps: FeedDeps, run: RunId) {
    this.#deps = deps;
    this.#run = run;
  }

  /** What is new and due; at first, what every task said last. */
  take(): readonly Said[] {
    if (this.#pauseMs() > 0) return [];
    const { clock, progress } = this.#deps;
    const said = progress.since(this.#run, this.#turn);
    this.#turn = progress.turn;
    if (said.length > 0) this.#toldAtMs = clock.monotonicMs();
    return said;
  }

  /** Resolves when there is something to take, or when `signal` aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    const { progress } = this.#deps;
    if (progress.since(this.#run, this.#turn).length === 0) await progress.wait(this.#run, signal);
    await this.#pause(signal);
  }

  #pauseMs(): number {
    return this.#toldAtMs + tellEveryMs - this.#deps.clock.monotonicMs();
  }

  #pause(signal: AbortSignal): Promise<void> {
    const forMs = this.#pauseMs();
    if (forMs <= 0 || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#deps.clock.after(forMs, resolve);
      signal.addEventListener("abort", () => {
        timer.cancel();
        resolve();
      });
    });
  }
}
