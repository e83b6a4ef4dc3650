import { partitionOf, runOfTask } from "#shared/domain/ids.ts";
import { isTerminalTask } from "#shared/domain/states.ts";
import type { Move } from "../engine/move.ts";
import { type TaskRecord, taskKey } from "../records.ts";
import { Change } from "../state/change.ts";
import { limitOf, parseSlot } from "../state/limit-records.ts";
import type { GiveSlot, SlotMessage } from "../state/messages.ts";
import { takeSlot } from "../state/settle-call.ts";
import { addWaiter, dropSlot, type LimitDeps } from "./serve-limit.ts";

/**
 * Has a message about a slot take effect, on either side. S3: what is said of a slot that its task does not want any more,
 * for it has ended, changes nothing, and frees the slot.
 */
export async function deliverSlot(deps: LimitDeps, message: SlotMessage): Promise<void> {
  const { mover, partitions } = deps;
  const limit = limitOf(partitions, message);
  const { slot, max } = message;
  if (message.kind === "askSlot") {
    const { score } = message;
    await mover.move(limit.partition, addWaiter, { limit, slot, max, score });
    // What frees it may have been delivered before.
    if (await isWanted(deps, slot)) return;
  }
  if (message.kind === "giveSlot") {
    const { task } = parseSlot(slot);
    const taken = await mover.move(partitionOf(runOfTask(task)), receiveSlot, message);
    if (taken) return;
  }
  await mover.move(limit.partition, dropSlot, { limit, slot, max });
}

async function isWanted({ engine }: LimitDeps, slot: string): Promise<boolean> {
  const { found } = await engine.get([taskKey(parseSlot(slot).task)]);
  return wants(JSON.parse(found[0]?.value ?? "null") as TaskRecord | null, slot);
}

/** Whether a slot is what the task holds or waits for. */
export const wants = (task: TaskRecord | null, slot: string): boolean =>
  task !== null && !isTerminalTask(task.state) && task.slot?.ask === parseSlot(slot).ask;

/** Answers whether the slot is the task's. */
const receiveSlot: Move<GiveSlot, boolean> = {
  name: "receiveSlot",
  reads: ({ slot }) => [taskKey(parseSlot(slot).task)],
  decide(view, { slot }) {
    const task = view.get<TaskRecord>(taskKey(parseSlot(slot).task));
    if (!task?.slot || !wants(task, slot)) return { transactions: [], answer: () => false };
    if (task.slot.held) return { transactions: [], answer: () => true };
    const change = new Change(view);
    takeSlot(change, task, task.slot);
    return { transactions: change.drafts(), answer: () => true };
  },
};
