import type { Partition } from "#shared/domain/ids.ts";
import type { Engine, LogEntry } from "../engine/engine.ts";
import { at, type DraftWrite, type Move, type Mover, writing } from "../engine/move.ts";
import { digestsOf, letGo } from "../state/blob-refs.ts";
import {
  type CursorRecord,
  cursorKey,
  eventOwner,
  eventsLog,
  parseTopic,
  type StoredEvent,
  seenKey,
  type Topic,
  type TopicRecord,
  topicKey,
  topicMember,
  topicsIndex,
} from "../state/event-records.ts";
import { dueRows } from "./due-rows.ts";

export const topicsPerSweepMax = 50;
const eventsPerStepMax = 200;

/**
 * Drops events that are past their time and have been taken to all waits, with what remembers their ids; a topic
 * without events is forgotten. Whether there may be more to do at once.
 */
export async function trimEvents(
  deps: { readonly engine: Engine; readonly mover: Mover },
  partition: Partition,
  keepMs: number,
): Promise<boolean> {
  const due = { afterMs: keepMs, limit: topicsPerSweepMax };
  const rows = await dueRows(deps.engine, topicsIndex(partition), due);
  let more = rows.length === topicsPerSweepMax;
  for (const { member } of rows) {
    const topic = parseTopic(partition, member);
    const { nowMs, found } = await deps.engine.get([cursorKey(topic)]);
    const cursor = JSON.parse(found[0]?.value ?? "null") as CursorRecord | null;
    const entries = await deps.engine.read(eventsLog(topic), 0, eventsPerStepMax);
    const old = entries.filter((e) => e.atMs <= nowMs - keepMs && e.position <= (cursor?.position ?? 0));
    const next = entries[old.length] ?? null;
    const nextAtMs = next?.atMs ?? nowMs - keepMs;
    await deps.mover.move(partition, dropEvents, { topic, old, nextAtMs, isAll: old.length === entries.length });
    more ||= old.length === eventsPerStepMax;
  }
  return more;
}

interface DropEvents {
  readonly topic: Topic;
  readonly old: readonly LogEntry[];
  /** When the first event came that stays. */
  readonly nextAtMs: number;
  /** No event was there that stays. */
  readonly isAll: boolean;
}

const dropEvents: Move<DropEvents, void> = {
  name: "dropEvents",
  fresh: true,
  bulk: true,
  frees: true,
  reads: ({ topic }) => [topicKey(topic), cursorKey(topic)],
  decide(view, { topic, old, nextAtMs, isAll }) {
    const { partition } = topic;
    const record = view.get<TopicRecord>(topicKey(topic));
    const cursor = view.get<CursorRecord>(cursorKey(topic));
    const index = topicsIndex(partition);
    const member = topicMember(topic);
    const last = old.at(-1);
    // It was forgotten, and may have begun anew: these positions are of other events.
    const another = !record || (last !== undefined && record.sinceMs > last.atMs);
    if (another) return { transactions: [], answer: () => undefined };
    const forgets = isAll && !view.unmet && (cursor?.position ?? 0) === (last?.position ?? 0);
    const writes: DraftWrite[] = old.flatMap(({ value }) => {
      const event = JSON.parse(value) as StoredEvent;
      const references = letGo(partition, eventOwner(topic, event.id), digestsOf(event.value));
      return [{ kind: "delete", key: seenKey(topic, event.id) } as const, ...references];
    });
    if (!forgets) {
      if (last) writes.push({ kind: "trim", log: eventsLog(topic), through: last.position });
      writes.push({ kind: "rank", index, member, score: at(nextAtMs) });
      return writing(...writes);
    }
    for (const key of [eventsLog(topic), cursorKey(topic), topicKey(topic)]) writes.push({ kind: "delete", key });
    writes.push({ kind: "unrank", index, member });
    const end = { kind: "end", log: eventsLog(topic), position: last?.position ?? 0 } as const;
    return { transactions: [{ checks: [end], writes }], answer: () => undefined };
  },
};
