interface Listener {
  readonly topics: ReadonlySet<string>;
  /** Topics signalled and not yet taken. A set, so that a listener that does not keep up costs no more than its topics. */
  readonly pending: Set<string>;
  wake: () => void;
}

/** Hints between the users of one engine in one process. */
export class Hints {
  readonly #listeners = new Set<Listener>();
  #closed = false;

  emit(topics: Iterable<string>): void {
    for (const topic of topics) {
      for (const listener of this.#listeners) {
        if (!listener.topics.has(topic)) continue;
        listener.pending.add(topic);
        listener.wake();
      }
    }
  }

  /** Listens from this call on, not from the first `next`, so that nothing falls between listening and a first look. */
  listen(topics: readonly string[], signal: AbortSignal): AsyncIterable<string> {
    const listener: Listener = { topics: new Set(topics), pending: new Set(), wake: () => {} };
    const end = () => {
      this.#listeners.delete(listener);
      listener.wake();
    };
    if (!signal.aborted && !this.#closed) this.#listeners.add(listener);
    signal.addEventListener("abort", end, { once: true });
    return this.#take(listener, () => signal.removeEventListener("abort", end));
  }

  async *#take(listener: Listener, forget: () => void): AsyncGenerator<string> {
    try {
      while (this.#listeners.has(listener)) {
        const [topic] = listener.pending;
        if (topic !== undefined) {
          listener.pending.delete(topic);
          yield topic;
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
