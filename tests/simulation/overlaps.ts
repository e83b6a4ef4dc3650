import { keyOfTask, type TaskId } from "#shared/domain/ids.ts";
import { gateMax } from "./plan.ts";
import type { Execution } from "./world.ts";

/**
 * C17: what the programs themselves have seen. Tasks that must not outlast their lease are never executed twice at the same
 * time, and never more of them at once than their limit allows.
 */
export function overlaps(executions: readonly Execution[]): string[] {
  const wrong: string[] = [];
  let going: Execution[] = [];
  const strict = executions.filter(({ task }) => keyOfTask(task as TaskId).startsWith("strict#"));
  for (const one of strict.toSorted((a, b) => a.startedAtMs - b.startedAtMs)) {
    going = going.filter(({ endedAtMs }) => endedAtMs === null || endedAtMs > one.startedAtMs);
    const same = going.find(({ task }) => task === one.task);
    if (same) wrong.push(`${nameOf(one)} began at ${one.startedAtMs} while ${nameOf(same)} went on`);
    going.push(one);
    if (going.length > gateMax) wrong.push(`at once at ${one.startedAtMs}: ${going.map(nameOf).join(", ")}`);
  }
  return wrong;
}

const nameOf = ({ task, fence, process }: Execution): string => `${task} under fence ${fence} in ${process}`;
