import { type Partition, partitionOf, type RunId } from "#shared/domain/ids.ts";
import { type Key, keyIn } from "../engine/engine.ts";

/**
 * What says when something may leave: indexes of times, which the retention stage sweeps. The names of those that hold
 * something for as long as its owner is kept begin with `kept/`.
 */

/** Runs that have ended, by when they did. */
export const endedIndex = (partition: Partition): Key => keyIn(partition, "kept/ended");
/** The runs of a partition that need a release: all that are there, whether or not they have ended. */
export const usersIndex = (partition: Partition, release: string): Key => keyIn(partition, `kept/users/${release}`);
/** The runs whose input refers to calls of this one: children of it, and copies of such. */
export const neededByIndex = (run: RunId): Key => keyIn(partitionOf(run), `kept/needed-by/${run}`);
/** Releases that another has taken the place of, by when it did. */
export const supersededIndex = (partition: Partition): Key => keyIn(partition, "kept/superseded");
/** Agents, by when they were last known to connect or to leave. */
export const agentsSeenIndex = (partition: Partition): Key => keyIn(partition, "kept/agents");

/** Runs that are being removed, some of what is theirs at a time. */
export const removingIndex = (partition: Partition): Key => keyIn(partition, "removing");
/** Stands for a run from its removal's beginning to its end, so that none is opened under its id meanwhile. */
export const removalKey = (run: RunId): Key => keyIn(partitionOf(run), `removal/${run}`);

export interface RemovalRecord {
  readonly release: string;
  /** The run to whose calls its input refers. */
  readonly refsRun: RunId | null;
  /** Steps that were done: each checks that it is the next. */
  readonly steps: number;
}
