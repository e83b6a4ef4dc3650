import { partitionOf, runOfTask, type TaskId, taskId, workflowKey } from "#shared/domain/ids.ts";
import type { Value } from "#shared/protocol/common.ts";
import { type Engine, type Key, keyIn, type LogEntry } from "../engine/engine.ts";
import { at, type Move, type Mover, writing } from "../engine/move.ts";
import { runKey, type TaskRecord, taskKey, timersIndex } from "../records.ts";
import { digestsOf, refer } from "../state/blob-refs.ts";
import { Change } from "../state/change.ts";
import {
  type CursorRecord,
  cursorKey,
  eventOwner,
  eventsLog,
  type StoredEvent,
  seenKey,
  type Topic,
  type TopicRecord,
  topicKey,
  topicMember,
  topicsIndex,
  walksIndex,
} from "../state/event-records.ts";
import { eventPartition, type Match, type Message, type SlotMessage, sendMessage } from "../state/messages.ts";
import { settleCall } from "../state/settle-call.ts";
import { timerMember } from "../state/timers.ts";

/**
 * C24: events are accepted into a log of their project and name. A wait carries the time of its call and is matched
 * from there, so that nothing is lost between look and listen.
 *
 * E1  Accepting an event marks its name as to be walked in the same commit; the mark goes when its walk has come to the
 *     end of the log.
 * E2  A wait is ranked among the subscriptions before the events since its call are looked at, and before it is looked
 *     whether it is over already: what ends it later takes it away again.
 * E3  A wait that was told twice was told once: its record says that it is over.
 */
export interface EventDeps {
  readonly engine: Engine;
  readonly mover: Mover;
  readonly partitions: number;
}

interface Subscription {
  readonly match: Match;
  readonly sinceMs: number;
}

const subscriptionsIndex = (topic: Topic): Key => keyIn(topic.partition, `subscriptions/${topicMember(topic)}`);

const subscriptionsPerPage = 200;
const eventsPerPage = 100;

const topicOf = (deps: EventDeps, project: string, name: string): Topic => ({
  partition: eventPartition(deps.partitions, project, name),
  project,
  name,
});

const acceptEvent: Move<{ topic: Topic; event: StoredEvent }, { position: number }> = {
  name: "acceptEvent",
  reads: ({ topic, event }) => [seenKey(topic, event.id), topicKey(topic)],
  decide(view, { topic, event }) {
    const seen = view.get<{ position: number }>(seenKey(topic, event.id));
    if (seen) return { transactions: [], answer: () => ({ position: seen.position }) };
    const change = new Change(view);
    change.set(seenKey(topic, event.id), { position: 0 });
    change.write({ kind: "append", log: eventsLog(topic), value: JSON.stringify(event) });
    change.rank(walksIndex(topic.partition), topicMember(topic), at(view.nowMs));
    change.write(...refer(topic.partition, eventOwner(topic, event.id), digestsOf(event.value)));
    if (!view.get<TopicRecord>(topicKey(topic))) {
      const record: TopicRecord = { sinceMs: Math.round(view.nowMs) };
      change.set(topicKey(topic), record);
      change.rank(topicsIndex(topic.partition), topicMember(topic), at(record.sinceMs));
    }
    return { transactions: change.drafts(), answer: ({ positions }) => ({ position: positions[0] ?? 0 }) };
  },
};

/** Accepts an event; the same id again is the same event. */
export function sendEvent(
  deps: EventDeps,
  event: { project: string; name: string; id: string; value: Value; by: string },
): Promise<{ position: number }> {
  const topic = topicOf(deps, event.project, event.name);
  const { id, value, by } = event;
  return deps.mover.move(topic.partition, acceptEvent, { topic, event: { id, value, by } });
}

/** Takes events that nobody matched yet to the waits that they match, from the stored cursor to the end of the log. */
export async function walkEvents(deps: EventDeps, member: string): Promise<void> {
  const [project = "", name = ""] = member.split("/");
  const topic = topicOf(deps, project, name);
  for (;;) {
    const { found } = await deps.engine.get([cursorKey(topic), topicKey(topic)]);
    const from = parse<CursorRecord>(found[0]?.value)?.position ?? 0;
    const sinceMs = parse<TopicRecord>(found[1]?.value)?.sinceMs ?? null;
    const entries = await deps.engine.read(eventsLog(topic), from, eventsPerPage);
    const last = entries.at(-1);
    if (last) await matchAll(deps, topic, timed(entries));
    const position = last?.position ?? from;
    const end = entries.length < eventsPerPage;
    const walked = { topic, sinceMs, from, position, end };
    if ((await deps.mover.move(topic.partition, moveCursor, walked)) === "at the end") return;
  }
}

const parse = <T>(value: string | null | undefined): T | null => JSON.parse(value ?? "null") as T | null;

const timed = (entries: readonly LogEntry[]): TimedEvent[] =>
  entries.map(({ atMs, value }) => ({ atMs, event: JSON.parse(value) as StoredEvent }));

interface Walked {
  readonly topic: Topic;
  /** Since when the topic was when the walk looked: it may have been forgotten meanwhile, and begun anew. */
  readonly sinceMs: number | null;
  readonly from: number;
  readonly position: number;
  readonly end: boolean;
}

const moveCursor: Move<Walked, "at the end" | "further"> = {
  name: "moveCursor",
  fresh: true,
  reads: ({ topic }) => [cursorKey(topic), topicKey(topic)],
  decide(view, { topic, sinceMs, from, position, end }) {
    const cursor = view.get<CursorRecord>(cursorKey(topic));
    const since = view.get<TopicRecord>(topicKey(topic))?.sinceMs ?? null;
    const another = since !== sinceMs || (cursor?.position ?? 0) !== from;
    if (view.unmet || another) return { transactions: [], answer: () => "further" };
    const change = new Change(view);
    if (since !== null) change.set(cursorKey(topic), { position });
    if (end) {
      change.check({ kind: "end", log: eventsLog(topic), position });
      change.unrank(walksIndex(topic.partition), topicMember(topic));
    }
    return { transactions: change.drafts(), answer: () => (end ? "at the end" : "further") };
  },
};

type TimedEvent = { readonly atMs: number; readonly event: StoredEvent };

async function matchAll(deps: EventDeps, topic: Topic, events: readonly TimedEvent[]): Promise<void> {
  let after: { score: number; member: string } | undefined;
  for (;;) {
    const query = { limit: subscriptionsPerPage, ...(after ? { after } : {}) };
    const { rows } = await deps.engine.range(subscriptionsIndex(topic), query);
    for (const row of rows) {
      const subscription = JSON.parse(row.value ?? "{}") as Subscription;
      await matchOne(deps, topic, row.member as TaskId, subscription, events);
    }
    after = rows.at(-1);
    if (rows.length < subscriptionsPerPage) return;
  }
}

async function matchOne(
  deps: EventDeps,
  topic: Topic,
  task: TaskId,
  subscription: Subscription,
  events: readonly TimedEvent[],
): Promise<boolean> {
  const found = events.find(
    ({ atMs, event }) => atMs >= subscription.sinceMs && matches(event.value, subscription.match),
  );
  if (found) await deps.mover.move(topic.partition, tell, { topic, task, value: found.event.value });
  return found !== undefined;
}

const tell: Move<{ topic: Topic; task: TaskId; value: Value }, void> = {
  name: "tellSubscriber",
  reads: () => [],
  decide(view, { topic, task, value }) {
    const change = new Change(view);
    change.unrank(subscriptionsIndex(topic), task);
    sendMessage(change, topic.partition, `event/${task}`, { kind: "event", task, value });
    return { transactions: change.drafts(), answer: () => undefined };
  },
};

/** Whether the fields that JSON pointers (RFC 6901) name equal what is asked. A value in a blob matches only no demand. */
export function matches(value: Value, match: Match): boolean {
  const wanted = Object.entries(match);
  if (wanted.length === 0) return true;
  if (!("json" in value)) return false;
  const root: unknown = JSON.parse(value.json);
  return wanted.every(([pointer, expected]) => fieldAt(root, pointer) === expected);
}

function fieldAt(root: unknown, pointer: string): unknown {
  let current = root;
  for (const part of pointer.split("/").slice(1)) {
    const name = part.replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof current !== "object" || current === null || !Object.hasOwn(current, name)) return undefined;
    current = (current as Record<string, unknown>)[name];
  }
  return current;
}

/** What a partition says to another about events. */
export type EventMessage = Exclude<Message, SlotMessage>;

/** Has a message about events take effect. */
export async function deliverEvent(deps: EventDeps, message: EventMessage): Promise<void> {
  if (message.kind === "subscribe") await subscribe(deps, message);
  else if (message.kind === "unsubscribe") await unsubscribe(deps, message);
  else await deps.mover.move(partitionOf(runOfTask(message.task)), receiveEvent, message);
}

async function subscribe(deps: EventDeps, message: Extract<Message, { kind: "subscribe" }>): Promise<void> {
  const topic = topicOf(deps, message.project, message.name);
  const subscription: Subscription = { match: message.match, sinceMs: message.sinceMs };
  await deps.mover.move(topic.partition, rankSubscription, { topic, task: message.task, subscription });
  const { found } = await deps.engine.get([taskKey(message.task)]);
  const task = JSON.parse(found[0]?.value ?? "null") as TaskRecord | null;
  if (task?.state !== "waiting") return unsubscribe(deps, message);
  for (let after = await lookBack(deps, topic, message.sinceMs); ; ) {
    const entries = await deps.engine.read(eventsLog(topic), after, eventsPerPage);
    if (await matchOne(deps, topic, message.task, subscription, timed(entries))) return;
    if (entries.length < eventsPerPage) return;
    after = entries.at(-1)?.position ?? after;
  }
}

/** A position before the first event since a time: back from the cursor, behind which events find waits by themselves. */
async function lookBack(deps: EventDeps, topic: Topic, sinceMs: number): Promise<number> {
  const { found } = await deps.engine.get([cursorKey(topic)]);
  let after = parse<CursorRecord>(found[0]?.value)?.position ?? 0;
  while (after > 0) {
    after = Math.max(0, after - eventsPerPage);
    const [first] = await deps.engine.read(eventsLog(topic), after, 1);
    // Events past their time are gone: the log begins here.
    const isBeginning = first !== undefined && first.position > after + 1;
    if (first && (isBeginning || first.atMs < sinceMs)) return after;
  }
  return 0;
}

const unsubscribe = (deps: EventDeps, { project, name, task }: { project: string; name: string; task: TaskId }) => {
  const topic = topicOf(deps, project, name);
  return deps.mover.move(topic.partition, unrankSubscription, { topic, task });
};

const unrankSubscription: Move<{ topic: Topic; task: TaskId }, void> = {
  name: "unrankSubscription",
  reads: () => [],
  decide: (_view, { topic, task }) => writing({ kind: "unrank", index: subscriptionsIndex(topic), member: task }),
};

const rankSubscription: Move<{ topic: Topic; task: TaskId; subscription: Subscription }, void> = {
  name: "rankSubscription",
  reads: () => [],
  decide(view, { topic, task, subscription }) {
    const change = new Change(view);
    change.rank(subscriptionsIndex(topic), task, at(subscription.sinceMs), JSON.stringify(subscription));
    return { transactions: change.drafts(), answer: () => undefined };
  },
};

const receiveEvent: Move<Extract<Message, { kind: "event" }>, void> = {
  name: "receiveEvent",
  reads: ({ task }) => [taskKey(task), runKey(runOfTask(task)), taskKey(taskId(runOfTask(task), workflowKey))],
  decide(view, { task: id, value }) {
    const task = view.get<TaskRecord>(taskKey(id));
    if (task?.state !== "waiting") return { transactions: [], answer: () => undefined };
    const change = new Change(view);
    change.unrank(timersIndex(partitionOf(task.run)), timerMember({ kind: "call", task: id }));
    settleCall(change, task, { outcome: "succeeded", output: value, arrived: value });
    return { transactions: change.drafts(), answer: () => undefined };
  },
};
