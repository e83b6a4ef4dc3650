import { type CallKey, partitionOf, type RunId, runOfTask, type TaskId } from "#shared/domain/ids.ts";
import { type Key, keyIn } from "../engine/engine.ts";

/**
 * A task's log is the engine's log `output/<task>`. Beside it stands one record, which says what it holds, and the run
 * has a log of its own that only points into the tasks' logs, so that a run's output can be followed with one position.
 */
export interface TaskLogRecord {
  /** Entries of the task's log: its last position. */
  readonly entries: number;
  /** Bytes kept, over all attempts. */
  readonly bytes: number;
  /** By attempt (fence): how far each stream has come. Attempts beyond the last ten are forgotten. */
  readonly attempts: readonly {
    readonly fence: number;
    readonly stdout: number;
    readonly stderr: number;
    /** The cap was reached: nothing more of this attempt is kept. */
    readonly cut: boolean;
  }[];
}

/** An entry of a task's log. */
export interface LogRecord {
  readonly fence: number;
  readonly stream: "stdout" | "stderr";
  readonly offset: number;
  readonly text?: string;
  readonly base64?: string;
  readonly atMs: number;
  readonly cut?: true;
}

/** An entry of a run's log: the task's entry from `first` to `last`. */
export interface LogPointer {
  readonly key: CallKey;
  readonly first: number;
  readonly last: number;
}

export const taskLogKey = (task: TaskId): Key => keyIn(partitionOf(runOfTask(task)), `log/${task}`);
export const runOutputLog = (run: RunId): Key => keyIn(partitionOf(run), `outputs/${run}`);
