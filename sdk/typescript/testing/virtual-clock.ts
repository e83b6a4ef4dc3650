import type { Clock } from "#shared/ports.ts";

/** A clock that stands still until it is moved. `soon` callbacks run one by one, each after all microtasks have. */
export interface VirtualClock extends Clock {
  /** Runs what is to run now, until nothing is. */
  rest(): Promise<void>;
  /** Lets time pass, running timers as they fall due. */
  pass(ms: number): Promise<void>;
}

const microtasks = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export function createVirtualClock(startMs = 1_000): VirtualClock {
  let nowMs = startMs;
  const turns: (() => void)[] = [];
  const timers = new Set<{ atMs: number; callback: () => void }>();
  const rest = async (): Promise<void> => {
    await microtasks();
    for (let turn = turns.shift(); turn !== undefined; turn = turns.shift()) {
      turn();
      await microtasks();
    }
  };
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    soon: (callback) => void turns.push(callback),
    after(delayMs, callback) {
      const timer = { atMs: nowMs + delayMs, callback };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    rest,
    async pass(ms) {
      const endMs = nowMs + ms;
      await rest();
      for (;;) {
        const due = [...timers].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
        if (due === undefined) break;
        timers.delete(due);
        nowMs = Math.max(nowMs, due.atMs);
        due.callback();
        await rest();
      }
      nowMs = endMs;
    },
  };
}
