import { partitionOf, runOfTask, type TaskId } from "#shared/domain/ids.ts";
import { type EpochRecord, epochKey, type Key } from "../engine/engine.ts";
import type { View } from "../engine/move.ts";

/** What `isVoid` looks at. */
export const epochOf = (task: TaskId): Key => epochKey(partitionOf(runOfTask(task)));

/**
 * C16: a lease of an older epoch. Its attempt may have seen what the engine has forgotten since: a workflow would go on
 * from a journal that is no more.
 */
export function isVoid(view: View, { task, fence }: { readonly task: TaskId; readonly fence: number }): boolean {
  return fence < (view.get<EpochRecord>(epochOf(task))?.fence ?? 0);
}
