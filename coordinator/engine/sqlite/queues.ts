import type { Partition } from "#shared/domain/ids.ts";
import { type Key, queueIndex, queuesIndex } from "../engine.ts";
import type { createIndexes } from "./indexes.ts";

interface Entry {
  readonly partition: Partition;
  readonly queue: string;
  readonly member: string;
  readonly score: number;
  readonly nowMs: number;
}

/** Queues are indexes that also keep the partition's index `queues` of those that are not empty. */
export function createQueues(indexes: ReturnType<typeof createIndexes>) {
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
    /** Removes all of a queue up to this row, by score and member. */
    dequeueThrough(partition: Partition, queue: string, row: { score: number; member: string }): void {
      indexes.deleteThrough(queueIndex(partition, queue), row);
      forgetIfEmpty(partition, queue);
    },
    /** The first rows by score and member, after `after`. */
    head(
      partition: Partition,
      queue: string,
      query: { limit: number; after: { score: number; member: string } | null },
    ) {
      const { limit, after } = query;
      return indexes.range(queueIndex(partition, queue), after === null ? { limit } : { limit, after });
    },
  };
}

export type Queues = ReturnType<typeof createQueues>;
