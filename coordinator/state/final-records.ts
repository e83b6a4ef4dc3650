import { isTerminalTask } from "#shared/domain/states.ts";
import type { TaskRecord } from "../records.ts";

/** For reads of what never changes from a record's making on (a run's release, a task's input): any copy will do. */
export const isEverything = (): boolean => true;

/** For reads of how a call ended: a copy from before that will not do. */
export const isSettled = (task: TaskRecord): boolean => isTerminalTask(task.state);
