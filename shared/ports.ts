/**
 * The ports through which logic meets the outside world, so that a whole cluster can run on a virtual clock from one
 * seed. `shared/system.ts` holds the real ones; nothing else in coordinator stages, agent logic or SDK core may read a
 * clock, set a timer or draw a random number.
 */

/** A pending callback. `cancel` is idempotent and may be called after the callback ran. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall time in milliseconds since the Unix epoch. For display and logs only: deadlines use `monotonicMs`. */
  nowMs(): number;
  /**
   * Milliseconds on a clock that never goes backwards. The origin is arbitrary, and the same for all processes of a machine
   * until that is started again.
   */
  monotonicMs(): number;
  /** Calls `callback` once after `delayMs` (0 or more). A pending timer does not keep the process alive. */
  after(delayMs: number, callback: () => void): Timer;
  /** Calls `callback` when the current turn of the event loop, with all its microtasks, has ended. */
  soon(callback: () => void): void;
}

export interface Random {
  /** A float in [0, 1). */
  float(): number;
  /** `count` random bytes, fit for secrets when the port is the system's. */
  bytes(count: number): Uint8Array;
}
