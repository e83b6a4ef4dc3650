import type { Hint } from "./engine.ts";

interface Listener {
  readonly topics: ReadonlySet<string>;
  /** Hints not yet taken, each once. */
  readonly pending: Map<string, Hint>;
  wake: () => void;
}

/** Hints that a listener which does not keep up is kept; what is beyond is lost. */
export const pendingHintsMax = 10_000;

/** Each different hint once. */
export class HintSet {
  readonly #hints = new Map<string, Hint>();

  add({ topic, note }: Hint): void {
    this.#hints.set(nameOf({ topic, note }), { topic, note });
  }

  [Symbol.iterator](): Iterator<Hint> {
    return this.#hints.values();
  }
}

/** Hints between the users of one engine in one process. */
export class Hints {
  readonly #listeners = new Set<Listener>();
  #closed = false;

  emit(hints: Iterable<Hint>): void {
    if (this.#listeners.size === 0) return;
    for (const hint of hints) {
      for (const listener of this.#listeners) {
        if (!listener.topics.has(hint.topic) || listener.pending.size >= pendingHintsMax) continue;
        listener.pending.set(nameOf(hint), hint);
        listener.wake();
      }
    }
  }

  /** Listens from this call on, not from the first `next`, so that nothing falls between listening and a first look. */
  listen(topics: readonly string[], signal: AbortSignal): AsyncIterable<Hint> {
    const listener: Listener = { topics: new Set(topics), pending: new Map(), wake: () => {} };
    const end = () => {
      this.#listeners.delete(listener);
      listener.wake();
    };
    if (!signal.aborted && !this.#closed) this.#listeners.add(listener);
    signal.addEventListener("abort", end, { once: true });
    return this.#take(listener, () => signal.removeEventListener("abort", end));
  }

  async *#take(listener: Listener, forget: () => void): AsyncGenerator<Hint> {
    try {
      while (this.#listeners.has(listener)) {
        const [first] = listener.pending;
        if (first !== undefined) {
          listener.pending.delete(first[0]);
          yield first[1];
          continue;
        }
        await new Promise<void>((resolve) => {
          listener.wake = resolve;
        });
      }
    } finally {
      this.#listeners.delete(listener);
      forget();
    }
  }

  /** Ends all listening. */
  close(): void {
    this.#closed = true;
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener.wake();
  }
}

const nameOf = ({ topic, note }: Hint): string => `${topic} ${note}`;
