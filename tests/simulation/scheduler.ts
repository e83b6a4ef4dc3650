import { assert } from "#shared/domain/assert.ts";

export interface Event {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | null;
}

/** So many events without time passing are a loop that does not end. */
const eventsAtOnceMax = 100_000;

/**
 * Virtual time. Events run one by one in the order of their times, and of their making where these are equal; each runs
 * in a turn of the event loop of its own, so that whatever it resolved has come to rest before the next.
 */
export class Scheduler {
  nowMs = 0;
  #order = 0;
  #heap: Event[] = [];
  #atOnce = 0;
  events = 0;

  at(atMs: number, run: () => void): Event {
    this.#order += 1;
    const event: Event = { atMs: Math.max(this.nowMs, atMs), order: this.#order, run };
    this.#push(event);
    return event;
  }

  in(delayMs: number, run: () => void): Event {
    return this.at(this.nowMs + delayMs, run);
  }

  /** Runs what is due up to `endMs`, until `isOver` holds. */
  async runUntil(endMs: number, isOver: () => boolean = () => false): Promise<void> {
    // What was begun since has come to rest.
    await turn();
    while (!isOver()) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > endMs) break;
      this.#pop();
      if (next.run === null) continue;
      this.#atOnce = next.atMs === this.nowMs ? this.#atOnce + 1 : 0;
      assert(this.#atOnce < eventsAtOnceMax, `the cluster comes to rest at ${this.nowMs} ms`);
      this.nowMs = next.atMs;
      this.events += 1;
      next.run();
      await turn();
    }
    if (!isOver()) this.nowMs = Math.max(this.nowMs, endMs);
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let place = heap.push(event) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      const above = heap[parent] as Event;
      if (isBefore(above, event)) break;
      heap[place] = above;
      place = parent;
    }
    heap[place] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Event;
    if (heap.length === 0) return;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Event, heap[child] as Event)) child += 1;
      if (isBefore(last, heap[child] as Event)) break;
      heap[place] = heap[child] as Event;
      place = child;
    }
    heap[place] = last;
  }
}

const isBefore = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
