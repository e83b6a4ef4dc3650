import { assert } from "#shared/domain/assert.ts";
import type { ClaimWant } from "../engine.ts";
import type { Place, Queues, QueuesContext } from "./queues.ts";

interface Taken {
  readonly queue: string;
  readonly member: string;
  readonly holder: string;
}

/**
 * Removes from the queues what the wants may take, and answers it in the order of taking: for each want in turn the
 * lowest scores first, of equal ones those of the queue named first. A queue is read once, however many want of it.
 */
export function takeMembers(queues: Queues, context: QueuesContext, wants: ClaimWant["wants"]): Taken[] {
  const heads = new Map<string, Head>();
  const headOf = (queue: string, pageRows: number): Head => {
    const known = heads.get(queue);
    if (known !== undefined) return known;
    const head = new Head(queues, { context, queue, pageRows });
    heads.set(queue, head);
    return head;
  };

  const taken: Taken[] = [];
  for (const { holder, queues: names, take } of wants) {
    if (take === 0) continue;
    const wanted = names.map((queue) => headOf(queue, Math.ceil(take / names.length)));
    for (let left = take; left > 0; left--) {
      const head = lowestOf(wanted);
      if (head === null) break;
      taken.push({ queue: head.queue, member: head.take(), holder });
    }
  }
  for (const head of heads.values()) head.removeTaken();
  return taken;
}

function lowestOf(heads: readonly Head[]): Head | null {
  let lowest: Head | null = null;
  let lowestScore = Number.POSITIVE_INFINITY;
  for (const head of heads) {
    const score = head.row?.score;
    if (score === undefined || score >= lowestScore) continue;
    lowest = head;
    lowestScore = score;
  }
  return lowest;
}

/** A queue read from its lowest score on, in pages. What is taken is a prefix of it, so it is removed in one step. */
class Head {
  readonly queue: string;
  readonly #queues: Queues;
  readonly #context: QueuesContext;
  readonly #pageRows: number;
  #page: readonly Place[] = [];
  #next = 0;
  #lastTaken: Place | null = null;

  constructor(queues: Queues, of: { context: QueuesContext; queue: string; pageRows: number }) {
    this.queue = of.queue;
    this.#queues = queues;
    this.#context = of.context;
    this.#pageRows = of.pageRows;
    this.#turnPage();
  }

  /** The lowest one not taken, or undefined when there is none. */
  get row(): Place | undefined {
    return this.#page[this.#next];
  }

  take(): string {
    const { row } = this;
    assert(row !== undefined, "only a queue with a row left is taken from");
    this.#lastTaken = row;
    this.#next++;
    if (this.#next === this.#page.length && this.#next >= this.#pageRows) this.#turnPage();
    return row.member;
  }

  removeTaken(): void {
    if (this.#lastTaken !== null) this.#queues.dequeueThrough(this.#context, this.queue, this.#lastTaken);
  }

  #turnPage(): void {
    this.#page = this.#queues.head(this.#context, this.queue, { limit: this.#pageRows, after: this.#lastTaken });
    this.#next = 0;
  }
}
