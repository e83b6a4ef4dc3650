import {
  type CallKey,
  type Partition,
  partitionOf,
  type RunId,
  runOfTask,
  type Sha256,
  type TaskId,
} from "#shared/domain/ids.ts";
import { type Key, keyIn } from "../engine/engine.ts";

/**
 * A task's log is the engine's log `output/<task>`. Beside it stands one record, which says what it holds, and the run
 * has a log of its own that only points into the tasks' logs, so that a run's output can be followed with one position.
 *
 * Entries are numbered from 1 on for as long as the task is kept. A while after the task has ended they move into a blob,
 * the archive, and the engine's log begins again, empty; after their time they are dropped.
 */
export interface TaskLogRecord {
  /** Entries there have been: the number of the last. */
  readonly entries: number;
  /** The first `entries` entries are in this blob; those after them are in the engine's log. */
  readonly archive?: {
    readonly blob: Sha256;
    readonly bytes: number;
    readonly entries: number;
    readonly atMs: number;
  };
  /** The first so many entries are kept no more. */
  readonly dropped?: number;
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
  /** Its number: its position in the engine's log until that is archived. */
  readonly n?: number;
  readonly fence: number;
  readonly stream: "stdout" | "stderr";
  readonly offset: number;
  readonly text?: string;
  readonly base64?: string;
  readonly atMs: number;
  readonly cut?: true;
}

/** An entry of a run's log: the task's entries from the number `first` to `last`. */
export interface LogPointer {
  readonly key: CallKey;
  readonly first: number;
  readonly last: number;
}

export const taskLogKey = (task: TaskId): Key => keyIn(partitionOf(runOfTask(task)), `log/${task}`);
export const runOutputLog = (run: RunId): Key => keyIn(partitionOf(run), `outputs/${run}`);
/** Tasks that have entries in the engine's log, by when their archiving is next thought of. */
export const liveLogsIndex = (partition: Partition): Key => keyIn(partition, "kept/live-logs");
/** Tasks whose log is archived, by when it was. */
export const archivesIndex = (partition: Partition): Key => keyIn(partition, "kept/archives");

/** Entries before those that the engine's log has. */
export const entriesBefore = (log: TaskLogRecord | null): number => log?.archive?.entries ?? log?.dropped ?? 0;
