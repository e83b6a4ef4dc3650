import type { Clock } from "#shared/ports.ts";

/**
 * Gathers what is said in one turn of the event loop into one write: at once at the end of the microtask while the link
 * has been idle, and with the rest of the turn when something has already gone out in it.
 */
export class TurnBatch {
  readonly #clock: Clock;
  readonly #send: () => void;
  #wanted = false;
  #sentThisTurn = false;

  constructor(clock: Clock, send: () => void) {
    this.#clock = clock;
    this.#send = send;
  }

  /** Has `send` called soon, once. */
  want(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    if (this.#sentThisTurn) return;
    this.#sentThisTurn = true;
    queueMicrotask(() => this.#flush());
    this.#clock.soon(() => {
      this.#sentThisTurn = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (!this.#wanted) return;
    this.#wanted = false;
    this.#send();
  }
}
