import { partitionOf, runOfTask, type TaskId, taskId, workflowKey } from "#shared/domain/ids.ts";
import { isTerminalTask } from "#shared/domain/states.ts";
import type { IndexRow } from "../engine/engine.ts";
import type { Move, Mover } from "../engine/move.ts";
import {
  dependentsIndex,
  edgesIndex,
  type RunRecord,
  resolvingIndex,
  runKey,
  type TaskRecord,
  taskKey,
} from "../records.ts";
import { Change } from "../state/change.ts";
import { failWaiting } from "../state/fail-waiting.ts";
import { dependencyFailed, removeEdge } from "../state/settle-call.ts";

/** Dependents that one move tells. */
const dependentsPerMove = 20;

/**
 * Tells a settled task's dependents, some at a time, until there are none: with an output they lose an edge, with a
 * failure they fail themselves, unexecuted (and so on along the edges).
 */
const resolveSome: Move<TaskId, "more" | "done"> = {
  name: "resolveSome",
  reads: (id) => [taskKey(id), runKey(runOfTask(id)), taskKey(taskId(runOfTask(id), workflowKey))],
  decide(view, id) {
    const given = view.get<TaskRecord>(taskKey(id));
    // C16: that it had ended may have been forgotten since.
    if (given && !isTerminalTask(given.state)) return { transactions: [], answer: () => "done" };
    const rows = view.rows(dependentsIndex(id), dependentsPerMove);
    const change = new Change(view);
    if (!given || rows.length === 0) {
      change.check({ kind: "fewer", index: dependentsIndex(id), than: 1 });
      change.unrank(resolvingIndex(partitionOf(runOfTask(id))), id);
      return { transactions: change.drafts(), answer: () => "done" };
    }
    if (given.state === "succeeded") view.prepare(rows.map((row) => taskKey(row.member as TaskId)));
    else prepareToFail(change, rows);
    for (const row of rows) {
      if (given.state === "succeeded") removeEdge(change, id, row.member as TaskId);
      else failDependent(change, given, id, row.member as TaskId);
    }
    return { transactions: change.drafts(), answer: () => "more" };
  },
};

/** Tasks, and of child runs what their end touches. */
function prepareToFail(change: Change, rows: readonly IndexRow[]): void {
  const { view } = change;
  const ids = rows.map((row) => row.member as TaskId);
  view.prepare(ids.flatMap((id) => [taskKey(id), runKey(runOfTask(id))]));
  const parents = ids.map((id) => view.get<RunRecord>(runKey(runOfTask(id)))?.parent);
  view.prepare(parents.flatMap((parent) => (parent ? [taskKey(taskId(parent.run, parent.key))] : [])));
}

function failDependent(change: Change, given: TaskRecord, id: TaskId, dependentId: TaskId): void {
  change.unrank(dependentsIndex(id), dependentId);
  change.unrank(edgesIndex(dependentId), id);
  const dependent = change.get<TaskRecord>(taskKey(dependentId));
  if (dependent) failWaiting(change, dependent, dependencyFailed(given));
}

export async function resolveDependents(deps: { mover: Mover }, id: TaskId): Promise<void> {
  while ((await deps.mover.move(partitionOf(runOfTask(id)), resolveSome, id)) === "more");
}
