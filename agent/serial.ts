type Step = () => void | Promise<void>;

/** Does steps one after another: at once while none is under way, so that the common case makes no promise. */
export class Serial {
  readonly #failed: (error: unknown) => void;
  readonly #waiting: Step[] = [];
  #busy = false;

  /** `failed` gets the error of a step; the steps after it are dropped. */
  constructor(failed: (error: unknown) => void) {
    this.#failed = failed;
  }

  run(step: Step): void {
    if (this.#busy) this.#waiting.push(step);
    else this.#start(step);
  }

  #start(step: Step): void {
    try {
      const under = step();
      if (under === undefined) return;
      this.#busy = true;
      under.then(
        () => this.#next(),
        (error) => this.#fail(error),
      );
    } catch (error) {
      this.#fail(error);
    }
  }

  #next(): void {
    this.#busy = false;
    while (!this.#busy) {
      const step = this.#waiting.shift();
      if (step === undefined) return;
      this.#start(step);
    }
  }

  #fail(error: unknown): void {
    this.#busy = false;
    this.#waiting.length = 0;
    this.#failed(error);
  }
}
