import { assert } from "#shared/domain/assert.ts";
import { partitionOf, taskId } from "#shared/domain/ids.ts";
import { at, type DraftWrite } from "../engine/move.ts";
import type { SlotRecord, TaskRecord } from "../records.ts";
import type { Change } from "./change.ts";
import { slotMember, slotsIndex } from "./limit-records.ts";
import { type AskSlot, type FreeSlot, messageWrite } from "./messages.ts";
import { queueScore } from "./queues.ts";

/**
 * C17: what a task does about its slot, in its own partition. It asks once, by a message to the limit's partition, and
 * frees what it asked for once, when it has ended; everything between is `limits/`.
 */

/** The task that waits only for a slot, and what asks for it. */
export function askForSlot(task: TaskRecord, nowMs: number): { record: TaskRecord; asking: DraftWrite[] } {
  const id = taskId(task.run, task.key);
  const partition = partitionOf(task.run);
  const record: TaskRecord = { ...task, state: "waiting", slot: { ask: Math.round(nowMs), held: false } };
  const message = askOf(record);
  const asking: DraftWrite[] = [
    { kind: "rank", index: slotsIndex(partition), member: id, score: at(0) },
    messageWrite(partition, `ask/${message.slot}`, message, nowMs),
  ];
  return { record, asking };
}

/** What a task that has asked says to the limit. */
export function askOf(task: TaskRecord): AskSlot {
  const score = queueScore(slotIn(task).ask, task.options.priority ?? 0);
  return { kind: "askSlot", ...slotOf(task), score };
}

/** The slot of a task that has ended, or that will never take it. */
export function freeSlot(change: Change, task: TaskRecord): void {
  const partition = partitionOf(task.run);
  const message: FreeSlot = { kind: "freeSlot", ...slotOf(task) };
  change.unrank(slotsIndex(partition), taskId(task.run, task.key));
  change.write(messageWrite(partition, `free/${message.slot}`, message, change.view.nowMs));
}

function slotOf(task: TaskRecord): Omit<FreeSlot, "kind"> {
  const { limit } = task.options;
  assert(limit, "a task with a slot has a limit");
  return { project: task.project, ...limit, slot: slotMember(taskId(task.run, task.key), slotIn(task).ask) };
}

function slotIn({ slot }: TaskRecord): SlotRecord {
  assert(slot, "the task has asked for a slot");
  return slot;
}

/** Whether all that the task waits for is a slot. */
export const waitsForSlot = ({ slot }: TaskRecord): boolean => slot !== undefined && !slot.held;
