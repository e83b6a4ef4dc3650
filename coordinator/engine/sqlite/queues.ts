import type { Partition } from "#shared/domain/ids.ts";
import { type Key, queueIndex, queuesIndex } from "../engine.ts";
import type { createIndexes } from "./indexes.ts";

export interface Place {
  readonly score: number;
  readonly member: string;
}

/**
 * What a batch knows of the queues that it met: the members of one that was empty, which are written only if they are
 * still there at the end, since most are granted by the same commit; null for one that has members in the database.
 */
export type MetQueues = Map<string, Map<string, number> | null>;

export interface QueuesContext {
  readonly partition: Partition;
  readonly nowMs: number;
  readonly queues: MetQueues;
}

/** Queues are indexes that also keep the partition's index `queues` of those that are not empty. */
export function createQueues(indexes: ReturnType<typeof createIndexes>) {
  const forgetIfEmpty = (partition: Partition, queue: string): void => {
    if (indexes.isEmpty(queueIndex(partition, queue))) indexes.delete(queuesIndex(partition), queue);
  };

  const meet = ({ partition, queues }: QueuesContext, queue: string): Map<string, number> | null => {
    let members = queues.get(queue);
    if (members === undefined) {
      members = indexes.isEmpty(queueIndex(partition, queue)) ? new Map() : null;
      queues.set(queue, members);
    }
    return members;
  };

  return {
    enqueue(context: QueuesContext, queue: string, { member, score }: Place): void {
      const members = meet(context, queue);
      if (members === null) indexes.set(queueIndex(context.partition, queue), member, score, null);
      else members.set(member, score);
    },
    dequeue({ partition, queues }: QueuesContext, queue: string, member: string): void {
      const members = queues.get(queue);
      if (members) members.delete(member);
      else if (indexes.delete(queueIndex(partition, queue), member)) {
        queues.delete(queue);
        forgetIfEmpty(partition, queue);
      }
    },
    /** Removes all of a queue up to this row, by score and member. */
    dequeueThrough({ partition, queues }: QueuesContext, queue: string, row: Place): void {
      const members = queues.get(queue);
      if (members) {
        for (const [member, score] of members) if (comparePlaces({ score, member }, row) <= 0) members.delete(member);
      } else {
        indexes.deleteThrough(queueIndex(partition, queue), row);
        forgetIfEmpty(partition, queue);
      }
    },
    /** The first rows by score and member, after `after`: at most `limit`, or all when the batch has them at hand. */
    head(
      { partition, queues }: QueuesContext,
      queue: string,
      { limit, after }: { limit: number; after: Place | null },
    ): readonly Place[] {
      const members = queues.get(queue);
      if (members) {
        const places = Array.from(members, ([member, score]): Place => ({ score, member })).sort(comparePlaces);
        return after === null ? places : places.filter((place) => comparePlaces(place, after) > 0);
      }
      return indexes.range(queueIndex(partition, queue), after === null ? { limit } : { limit, after });
    },
    /** Writes what the batch only has in memory. */
    writeMet({ partition, nowMs, queues }: QueuesContext): void {
      for (const [queue, members] of queues) {
        if (members === null || members.size === 0) continue;
        indexes.set(queuesIndex(partition), queue, nowMs, null);
        for (const [member, score] of members) indexes.set(queueIndex(partition, queue), member, score, null);
        queues.set(queue, null);
      }
    },
  };
}

export type Queues = ReturnType<typeof createQueues>;

/** Of a queue or the index `queues`, and perhaps of others: asked for every check, so without taking the key apart. */
export const mayBeQueue = (key: Key): boolean => key.startsWith("queue", key.indexOf("}") + 1);

/** As SQLite sorts them: by score, then by the bytes of the member in UTF-8. */
function comparePlaces(a: Place, b: Place): number {
  return a.score - b.score || compareBytes(a.member, b.member);
}

/** Code units sort as UTF-8 does, but that surrogates, the halves of the highest code points, come after all others. */
function compareBytes(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const [unit, other] = [a.charCodeAt(at), b.charCodeAt(at)];
    if (unit !== other) return byteOrder(unit) - byteOrder(other);
  }
  return a.length - b.length;
}

const byteOrder = (unit: number): number => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit);
