import type { Clock, Timer } from "#shared/ports.ts";

/** Counts the time that a workflow has only waited. One timer, moved on lazily, so that an awaited call sets none. */
export interface Parking {
  /** Something happened: the wait starts anew at the next `arm`. */
  stir(): void;
  /** The workflow is at rest. The first time ends its replay, whose length is the least time before it parks. */
  arm(): void;
  close(): void;
}

export function createParking(clock: Clock, parkAfterMs: number | undefined, park: () => void): Parking {
  const startedMs = clock.monotonicMs();
  let afterMs: number | null = null;
  let idleSinceMs: number | null = null;
  let timer: Timer | null = null;
  const check = (): void => {
    timer = null;
    if (idleSinceMs === null || afterMs === null) return;
    const leftMs = idleSinceMs + afterMs - clock.monotonicMs();
    if (leftMs > 0) timer = clock.after(leftMs, check);
    else {
      idleSinceMs = null;
      park();
    }
  };
  return {
    stir() {
      idleSinceMs = null;
    },
    arm() {
      if (parkAfterMs === undefined) return;
      afterMs ??= Math.max(parkAfterMs, clock.monotonicMs() - startedMs);
      idleSinceMs ??= clock.monotonicMs();
      timer ??= clock.after(afterMs, check);
    },
    close() {
      idleSinceMs = null;
      timer?.cancel();
      timer = null;
    },
  };
}
