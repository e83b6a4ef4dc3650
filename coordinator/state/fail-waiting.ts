import type { Failure } from "#shared/domain/errors.ts";
import { taskId } from "#shared/domain/ids.ts";
import { isTerminalRun, isTerminalTask } from "#shared/domain/states.ts";
import { type RunRecord, runKey, type TaskRecord, taskKey } from "../records.ts";
import type { Change } from "./change.ts";
import { endRun } from "./new-run.ts";
import { settleCall } from "./settle-call.ts";

/** Fails a task that waits for its refs, unexecuted; of a child, its run. One that has ended is left as it is. */
export function failWaiting(change: Change, task: TaskRecord, failure: Failure): void {
  if (isTerminalTask(task.state)) return;
  if (task.kind !== "workflow") {
    settleCall(change, task, { outcome: "failed", failure });
    return;
  }
  const run = change.get<RunRecord>(runKey(task.run));
  if (!run || isTerminalRun(run.state)) return;
  const endedAtMs = Math.round(change.view.nowMs);
  change.set(taskKey(taskId(task.run, task.key)), { ...task, state: "failed", failure, endedAtMs });
  endRun(change, run, { state: "failed", failure });
}
