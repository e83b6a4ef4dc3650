import type { Clock } from "#shared/ports.ts";
import { systemClock } from "#shared/system.ts";

/** A clock that goes on, and can be put forward. */
export function shiftedClock(): Clock & { advance(ms: number): void } {
  let shiftMs = 0;
  return {
    ...systemClock,
    nowMs: () => systemClock.nowMs() + shiftMs,
    monotonicMs: () => systemClock.monotonicMs() + shiftMs,
    advance(ms) {
      shiftMs += ms;
    },
  };
}
