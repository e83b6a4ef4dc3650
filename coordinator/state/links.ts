import { partitionOf, type RunId, runOfTask, type TaskId } from "#shared/domain/ids.ts";
import { at } from "../engine/move.ts";
import { edgesIndex, type LinkRecord, linkingIndex, linkKey, type RefList } from "../records.ts";
import type { Change } from "./change.ts";

/** An edge that stands for those not written yet: while it is there, no settlement readies the task. */
const unlinked = "@unlinked";

/**
 * C22: a task with many refs waits for edges that are written after it, in bounded steps, by whichever coordinator: the
 * member of `linking` is what it finds them by.
 */
export function beginLinking(change: Change, waiting: TaskId, refs: { list: RefList; run: RunId }): void {
  const record: LinkRecord = { refs: refs.list, run: refs.run, linked: 0 };
  change.set(linkKey(waiting), record);
  change.rank(edgesIndex(waiting), unlinked, at(0));
  change.rank(linkingIndex(partitionOf(runOfTask(waiting))), waiting, at(change.view.nowMs));
}

/** The edges are all written, or nobody waits for them any more. */
export function endLinking(change: Change, waiting: TaskId): void {
  change.unrank(edgesIndex(waiting), unlinked);
  change.unrank(linkingIndex(partitionOf(runOfTask(waiting))), waiting);
  change.write({ kind: "delete", key: linkKey(waiting) });
}
