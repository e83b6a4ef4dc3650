import type { Partition, TaskId } from "#shared/domain/ids.ts";
import { partitionFor, partitionOf, sha256, taskId } from "#shared/domain/ids.ts";
import type { Value } from "#shared/protocol/common.ts";
import { type Key, keyIn } from "../engine/engine.ts";
import { at, type DraftWrite, type Move, writing } from "../engine/move.ts";
import type { TaskRecord } from "../records.ts";
import type { Change } from "./change.ts";

/**
 * C8: what one partition has to tell another. A message is ranked in its own partition's outbox by the commit that it
 * is about; any coordinator delivers it, and then removes it. Delivering twice is delivering once: the state of what the
 * message is about says whether it was heard.
 */
export type Message =
  /** A workflow waits for an event, from the time of its call on. */
  | {
      readonly kind: "subscribe";
      readonly project: string;
      readonly name: string;
      readonly task: TaskId;
      readonly match: Match;
      readonly sinceMs: number;
    }
  /** The wait is over: it timed out, or was cancelled. */
  | { readonly kind: "unsubscribe"; readonly project: string; readonly name: string; readonly task: TaskId }
  /** An event that a subscription waited for. */
  | { readonly kind: "event"; readonly task: TaskId; readonly value: Value }
  | SlotMessage;

export type SlotMessage = AskSlot | FreeSlot | GiveSlot;

interface OfSlot {
  readonly project: string;
  /** The limit's. */
  readonly name: string;
  /** A `slotMember`. */
  readonly slot: string;
  /** It is taken only while fewer are held. */
  readonly max: number;
}

/** A task waits for a slot. Those with the lowest scores go first. */
export interface AskSlot extends OfSlot {
  readonly kind: "askSlot";
  readonly score: number;
}

/** The task has ended, whether it held the slot or waited for it. */
export interface FreeSlot extends OfSlot {
  readonly kind: "freeSlot";
}

/** The slot that a task waits for is its own. */
export interface GiveSlot extends OfSlot {
  readonly kind: "giveSlot";
}

export type Match = Readonly<Record<string, string | number | boolean | null>>;

export const outboxIndex = (partition: Partition): Key => keyIn(partition, "outbox");

export function sendMessage(change: Change, from: Partition, id: string, message: Message): void {
  change.write(messageWrite(from, id, message, change.view.nowMs));
}

export const messageWrite = (from: Partition, id: string, message: Message, nowMs: number): DraftWrite => ({
  kind: "rank",
  index: outboxIndex(from),
  member: sha256(id),
  score: at(nowMs),
  value: JSON.stringify(message),
});

/** Takes a message that has been delivered out of its outbox. */
export const removeMessage: Move<{ from: Partition; member: string }, void> = {
  name: "removeMessage",
  reads: () => [],
  decide: (_view, { from, member }) => writing({ kind: "unrank", index: outboxIndex(from), member }),
};

/** A wait for an event that ends without one. */
export function giveUpEvent(change: Change, { run, key, project, name }: TaskRecord): void {
  const task = taskId(run, key);
  sendMessage(change, partitionOf(run), `unsubscribe/${task}`, { kind: "unsubscribe", project, name, task });
}

/** Where a project's events of one name are accepted. */
export const eventPartition = (partitions: number, project: string, name: string): Partition =>
  partitionFor(partitions, "events", project, name);
