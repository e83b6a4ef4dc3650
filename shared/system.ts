import { randomBytes } from "node:crypto";
import type { Clock, Random } from "./ports.ts";

/** What `performance.now()` counts from in this process, on the clock that all processes of the machine have. */
const originMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** The machine's clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => originMs + performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (callback) => void setImmediate(callback),
};

/** The machine's randomness. */
export const systemRandom: Random = {
  float: () => Math.random(),
  bytes: (count) => randomBytes(count),
};
