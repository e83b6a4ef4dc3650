import type { Clock } from "#shared/ports.ts";
import type { Score } from "./engine.ts";

/**
 * The time of an engine that lives in this process (G2), in whole milliseconds. It follows the machine's clock
 * forwards, and never goes before `storedMs` or before what it answered last: when the machine's clock is set back, it
 * goes on at the pace of the monotonic clock, so that no timer or lease waits for the machine to catch up.
 */
export function createEngineClock(clock: Clock, storedMs: number): () => number {
  let lastMs = storedMs;
  let lastMonotonicMs = clock.monotonicMs();
  return () => {
    const monotonicMs = clock.monotonicMs();
    lastMs = Math.max(clock.nowMs(), lastMs + monotonicMs - lastMonotonicMs);
    lastMonotonicMs = monotonicMs;
    return Math.floor(lastMs);
  };
}

/** G4. Fences are counted over the whole engine, so that one is higher than all before it even if its lease was deleted. */
export const nextFence = (lastFence: number, nowMs: number): number => Math.max(lastFence + 1, nowMs * 1000);

export const scoreAt = (score: Score, nowMs: number): number => ("at" in score ? score.at : nowMs + score.nowPlusMs);
