import type { Partition, TaskId } from "#shared/domain/ids.ts";
import { epochKey, type IndexRow, type Key } from "../engine/engine.ts";
import { type TaskRecord, taskKey } from "../records.ts";
import {
  holdersIndex,
  type Limit,
  limitOf,
  limitsIndex,
  parseLimit,
  parseSlot,
  slotsIndex,
} from "../state/limit-records.ts";
import { allPartitions } from "../state/projects.ts";
import { askOf } from "../state/slots.ts";
import { deliverSlot, wants } from "./deliver-slot.ts";
import { addHolder, dropSlot, type LimitDeps } from "./serve-limit.ts";

const pageRows = 200;

/**
 * The look at what no message says. In the course of things it finds nothing; what it is for is an engine that forgot
 * what it had acknowledged (C16), where the partition of a limit and that of a task may tell different stories.
 *
 * S4  A holder whose task has ended, is unknown, or has asked for another slot since, holds nothing. It is never its age
 *     that says so.
 * S5  A task that holds a slot, or waits for one, tells its limit so again: after each failover, and, as nobody knows what
 *     was told after the last, when a coordinator starts.
 */
export function createSlotWatch(deps: LimitDeps): { look(): Promise<void> } {
  const partitions = allPartitions(deps.partitions);
  let toldIn: string | null = null;
  return {
    async look() {
      const { found } = await deps.engine.get(partitions.map(epochKey));
      const epochs = JSON.stringify(found.map(({ stamp }) => stamp));
      if (epochs !== toldIn) for (const partition of partitions) await tellAgain(deps, partition);
      toldIn = epochs;
      for (const partition of partitions) {
        for await (const page of pagesOf(deps, limitsIndex(partition))) {
          for (const { member } of page) await dropEnded(deps, parseLimit(partition, member));
        }
      }
    },
  };
}

/** S4. */
async function dropEnded(deps: LimitDeps, limit: Limit): Promise<void> {
  for await (const page of pagesOf(deps, holdersIndex(limit))) {
    const tasks = await tasksOf(
      deps,
      page.map(({ member }) => parseSlot(member).task),
    );
    const ended = page.filter(({ member }, index) => !wants(tasks[index] ?? null, member));
    const drops = ended.map(({ member: slot, value }) =>
      deps.mover.move(limit.partition, dropSlot, { limit, slot, max: Number(value) }),
    );
    await Promise.all(drops);
  }
}

/** S5. */
async function tellAgain(deps: LimitDeps, partition: Partition): Promise<void> {
  for await (const page of pagesOf(deps, slotsIndex(partition))) {
    const tasks = await tasksOf(
      deps,
      page.map(({ member }) => member as TaskId),
    );
    await Promise.all(tasks.flatMap((task) => (task?.slot ? [tellOf(deps, task)] : [])));
  }
}

function tellOf(deps: LimitDeps, task: TaskRecord): Promise<void> {
  const ask = askOf(task);
  if (!task.slot?.held) return deliverSlot(deps, ask);
  const limit = limitOf(deps.partitions, ask);
  return deps.mover.move(limit.partition, addHolder, { limit, slot: ask.slot, max: ask.max });
}

async function tasksOf({ engine }: LimitDeps, ids: readonly TaskId[]): Promise<(TaskRecord | null)[]> {
  const { found } = await engine.get(ids.map(taskKey));
  return found.map(({ value }) => JSON.parse(value ?? "null") as TaskRecord | null);
}

async function* pagesOf({ engine }: LimitDeps, index: Key): AsyncGenerator<readonly IndexRow[]> {
  let after: IndexRow | undefined;
  do {
    const { rows } = await engine.range(index, { limit: pageRows, ...(after ? { after } : {}) });
    if (rows.length > 0) yield rows;
    after = rows.length === pageRows ? rows.at(-1) : undefined;
  } while (after);
}
