import type { Partition } from "#shared/domain/ids.ts";
import { type IndexRow, type Key, queueIndex, queuesIndex } from "../engine.ts";
import type { createIndexes } from "./indexes.ts";

type Indexes = ReturnType<typeof createIndexes>;

interface Entry {
  readonly partition: Partition;
  readonly queue: string;
  readonly member: string;
  readonly score: number;
  readonly nowMs: number;
}

interface Taken {
  readonly queue: string;
  readonly member: string;
}

/** Queues are indexes that also keep the partition's index `queues` of those that are not empty. */
export function createQueues(indexes: Indexes) {
  const forgetIfEmpty = (partition: Partition, queue: string): void => {
    if (indexes.isEmpty(queueIndex(partition, queue))) indexes.delete(queuesIndex(partition), queue);
  };

  return {
    /** `filled` are queues known not to be empty: a batch fills few of them, with much. */
    enqueue(filled: Set<Key>, { partition, queue, member, score, nowMs }: Entry): void {
      const key = queueIndex(partition, queue);
      if (!filled.has(key) && indexes.isEmpty(key)) indexes.set(queuesIndex(partition), queue, nowMs, null);
      indexes.set(key, member, score, null);
      filled.add(key);
    },
    dequeue(filled: Set<Key>, { partition, queue, member }: Pick<Entry, "partition" | "queue" | "member">): void {
      const key = queueIndex(partition, queue);
      if (!indexes.delete(key, member)) return;
      filled.delete(key);
      forgetIfEmpty(partition, queue);
    },
    /** Removes and answers at most `take` members, the lowest scores first; of equal ones those of the queue named first. */
    take(partition: Partition, { queues, take }: { queues: readonly string[]; take: number }): Taken[] {
      const pageRows = Math.max(1, Math.ceil(take / queues.length));
      const heads = [...new Set(queues)].map((queue) => new Head(indexes, { partition, queue, pageRows }));
      const taken: Taken[] = [];
      while (taken.length < take) {
        const lowest = lowestOf(heads);
        if (lowest === null) break;
        taken.push({ queue: lowest.queue, member: lowest.take().member });
      }
      for (const head of heads) if (head.removeTaken()) forgetIfEmpty(partition, head.queue);
      return taken;
    },
  };
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
  /** The lowest one not taken, or undefined when there is none. */
  row: IndexRow | undefined;
  readonly #key;
  readonly #indexes: Indexes;
  readonly #pageRows: number;
  #page: readonly IndexRow[] = [];
  #next = 0;
  #lastTaken: IndexRow | undefined;

  constructor(indexes: Indexes, from: { partition: Partition; queue: string; pageRows: number }) {
    this.queue = from.queue;
    this.#key = queueIndex(from.partition, from.queue);
    this.#indexes = indexes;
    this.#pageRows = from.pageRows;
    this.#fill();
  }

  take(): IndexRow {
    const row = this.row as IndexRow;
    this.#lastTaken = row;
    this.#next++;
    this.row = this.#page[this.#next];
    if (this.row === undefined && this.#page.length === this.#pageRows) this.#fill();
    return row;
  }

  /** Whether anything was taken. */
  removeTaken(): boolean {
    if (this.#lastTaken === undefined) return false;
    this.#indexes.deleteThrough(this.#key, this.#lastTaken);
    return true;
  }

  #fill(): void {
    const after = this.#lastTaken;
    this.#page = this.#indexes.range(this.#key, { limit: this.#pageRows, ...(after && { after }) });
    this.#next = 0;
    this.row = this.#page[0];
  }
}
