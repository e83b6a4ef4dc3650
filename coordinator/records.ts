import type { Failure } from "#shared/domain/errors.ts";
import {
  type CallKey,
  type Partition,
  partitionOf,
  type RunId,
  runOfTask,
  type Sha256,
  type TaskId,
} from "#shared/domain/ids.ts";
import type { RunState, TaskState } from "#shared/domain/states.ts";
import type { CheckResult, TaskOptions, Value } from "#shared/protocol/common.ts";
import type { Manifest } from "#shared/protocol/manifest.ts";
import { type Key, keyIn, type LogEntry } from "./engine/engine.ts";

/**
 * What the coordinator stores, and under which keys. A run, its tasks, leases, journal, logs and queue entries live in
 * the run's partition; each project's registry, each token and each agent in the partition that its name hashes to.
 */

export interface RunRecord {
  readonly id: RunId;
  readonly project: string;
  readonly release: string;
  readonly workflow: string;
  readonly state: RunState;
  /** Null while the workflow's task is ready or leased; else what it awaits. */
  readonly parked: readonly CallKey[] | null;
  readonly input: Value;
  readonly seed: string;
  readonly trigger: { readonly kind: string; readonly name: string | null; readonly by: string };
  readonly createdAtMs: number;
  readonly endedAtMs: number | null;
  readonly output: Value | null;
  readonly failure: Failure | null;
  /** The call of another run that opened this one. */
  readonly parent: { readonly run: RunId; readonly key: CallKey } | null;
  readonly cancel: { readonly reason: string; readonly by: string; readonly atMs: number } | null;
  /** The run that goes on from this one (restart), or that this one goes on from (restart, retry). */
  readonly next: RunId | null;
  readonly previous: RunId | null;
  readonly priority: number;
  readonly identityDigest: string | null;
  readonly runTimeoutMs: number | null;
}

/**
 * One call of a run, or (`workflow`) the run's own workflow task. Tasks and workflow tasks are queued and leased; a
 * `child` waits for its run, a `sleep` for its timer, a `signal` or `event` for an arrival or its time-out.
 */
export interface TaskRecord {
  readonly run: RunId;
  readonly key: CallKey;
  readonly kind: "task" | "workflow" | "child" | "sleep" | "signal" | "event";
  /** Project, release and name of the task type or workflow. */
  readonly project: string;
  readonly release: string;
  readonly name: string;
  readonly state: TaskState;
  readonly digest: string;
  readonly input: Value;
  readonly refs: readonly CallKey[];
  /** In place of `refs` when they are many: the blob that holds the JSON array of their keys. */
  readonly manyRefs?: RefList;
  /** The run whose calls the refs are of, when it is not the task's own: a child's input refers to its parent's. */
  readonly refsRun?: RunId;
  readonly options: TaskOptions;
  readonly queue: string;
  readonly createdAtMs: number;
  readonly readyAtMs: number | null;
  readonly endedAtMs: number | null;
  /** Attempts that have ended. */
  readonly attempts: readonly AttemptRecord[];
  readonly attemptsEnded: number;
  readonly output: Value | null;
  readonly failure: Failure | null;
  readonly checks: readonly CheckResult[];
  readonly detached: boolean;
  /** Made by a workflow that cleans up: the cancel of its run lets it be, the run's end does not. */
  readonly shielded: boolean;
  /** Set when a leased task is to end: its next settlement is the last. */
  readonly cancelReason: string | null;
  /** The run of a `child`. */
  readonly child: RunId | null;
  /** Whether it may be in its queue while the newest attempt can still report: an agent lost it, or its workflow parked. */
  readonly returned: boolean;
  /** Attempts in a row that ended in a crash or a lost agent. A workflow's lost agents do not count. */
  readonly losses: number;
  /** Of a workflow task that has parked. */
  readonly parkedBy?: ParkedBy;
  /** Of a workflow task: the position at which its journal ended when its process last crashed. */
  readonly crashedAt: number;
  /** Of a task under a limit, from when it is ready but for that until it has ended. */
  readonly slot?: SlotRecord;
}

/** C17: a place under a limit. It is asked for once, and kept over retries; `ask` tells it from any other of the task. */
export interface SlotRecord {
  readonly ask: number;
  /** Else the task is waiting for it. */
  readonly held: boolean;
}

/** The agent that let a workflow go, when that was, and how much of its journal it had been given. */
export interface ParkedBy {
  readonly agent: string;
  readonly atMs: number;
  readonly given: number;
}

export interface RefList {
  readonly blob: Sha256;
  readonly bytes: number;
}

/** How far the edges of a task with many refs are written. It is there until they all are, or the task has ended. */
export interface LinkRecord {
  readonly refs: RefList;
  /** The run whose calls they are. */
  readonly run: RunId;
  /** Refs, from the first on, that have been looked at. */
  readonly linked: number;
}

/** An attempt that has ended. A task keeps its last ten. */
export interface AttemptRecord {
  readonly attempt: number;
  readonly fence: number;
  readonly agent: string;
  readonly outcome: "succeeded" | "failed" | "cancelled" | "lost" | "expired";
  readonly ranMs: number;
  readonly endedAtMs: number;
  readonly failure: Failure | null;
}

export interface ReleaseRecord {
  readonly id: string;
  readonly manifest: Manifest;
  readonly createdAtMs: number;
  readonly createdBy: string;
}

export interface ProjectRecord {
  readonly name: string;
  /** The release that new runs use. */
  readonly release: string;
  readonly updatedAtMs: number;
}

export interface AgentRecord {
  readonly id: string;
  readonly name: string;
  readonly pool: string;
  readonly platform: string;
  readonly version: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The versions of CPython on its machine. */
  readonly pythons?: readonly string[];
  readonly capacity: { readonly tasks: number; readonly workflows: number };
  /** Only grows; frames of an older session are dropped. */
  readonly session: number;
  readonly connected: boolean;
  readonly seenAtMs: number;
}

/** What a task awaits: refs that have not settled. */
export const edgesIndex = (task: TaskId): Key => keyIn(partitionOf(runOfTask(task)), `edges/${task}`);
/** The tasks that were given a ref to this one before it settled. */
export const dependentsIndex = (task: TaskId): Key => keyIn(partitionOf(runOfTask(task)), `dependents/${task}`);
/** Tasks whose edges to many refs are still being written. */
export const linkingIndex = (partition: Partition): Key => keyIn(partition, "linking");
export const linkKey = (task: TaskId): Key => keyIn(partitionOf(runOfTask(task)), `link/${task}`);
/** Settled tasks whose dependents have not all been told yet. */
export const resolvingIndex = (partition: Partition): Key => keyIn(partition, "resolving");
/** Runs whose open calls have not all been cancelled yet; the value says up to where and why. */
export const closingIndex = (partition: Partition): Key => keyIn(partition, "closing");
/** What is due, ranked by time; members are made in `state/timers.ts`. */
export const timersIndex = (partition: Partition): Key => keyIn(partition, "timers");
/** Calls made (`calls`), how many of them ended in each terminal state, and how many checks warned. */
export const countKey = (run: RunId, what: "calls" | "succeeded" | "failed" | "cancelled" | "warnings"): Key =>
  keyIn(partitionOf(run), `count/${run}/${what}`);

export const runKey = (run: RunId): Key => keyIn(partitionOf(run), `run/${run}`);
export const taskKey = (task: TaskId): Key => keyIn(partitionOf(runOfTask(task)), `task/${task}`);
export const journalLog = (run: RunId): Key => keyIn(partitionOf(run), `journal/${run}`);
export const outputLog = (task: TaskId): Key => keyIn(partitionOf(runOfTask(task)), `output/${task}`);
/** All runs of a partition, ranked by the time of opening; the value is `<project>/<workflow>`. */
export const runsIndex = (partition: Partition): Key => keyIn(partition, "runs");
export const releaseKey = (partition: Partition, release: string): Key => keyIn(partition, `release/${release}`);
/** Releases of a project, ranked by the time of their first registration. */
export const releasesIndex = (partition: Partition, project: string): Key => keyIn(partition, `releases/${project}`);
export const projectKey = (partition: Partition, project: string): Key => keyIn(partition, `project/${project}`);
export const projectsIndex = (partition: Partition): Key => keyIn(partition, "projects");
export const agentKey = (partition: Partition, agent: string): Key => keyIn(partition, `agent/${agent}`);
export const agentsIndex = (partition: Partition): Key => keyIn(partition, "agents");

/**
 * Journal entries as stored. A settled entry names no output: that is in the task's record (or the child run's), once.
 */
export type JournalRecord =
  | { readonly e: "opened"; readonly workflow: string; readonly release: string; readonly by: string }
  | {
      readonly e: "called";
      readonly key: CallKey;
      readonly kind: "task" | "workflow" | "sleep" | "signal" | "event";
      readonly name: string;
      readonly digest: Sha256;
      readonly refs?: readonly CallKey[];
      /** The digest of the blob that lists them. */
      readonly manyRefs?: Sha256;
      readonly release?: string;
      readonly timeoutMs?: number;
    }
  | {
      readonly e: "settled";
      readonly key: CallKey;
      readonly outcome: "succeeded" | "failed" | "cancelled" | "timedOut";
      readonly warnings?: number;
      readonly value?: Value;
      readonly failure?: Failure;
    }
  | {
      readonly e: "retried";
      readonly key: CallKey;
      readonly attempt: number;
      readonly failure: Failure;
      readonly delayMs: number;
    }
  | { readonly e: "signal"; readonly id: string; readonly name: string; readonly value: Value; readonly by: string }
  | { readonly e: "cancel"; readonly reason: string; readonly by: string }
  | { readonly e: "ended"; readonly state: RunState; readonly failure?: Failure };

/** The calls that journal entries tell of, in the order in which they were made: the list of a run's tasks. */
export const calledIn = (entries: readonly LogEntry[]): CallKey[] =>
  entries.flatMap(({ value }) => {
    const record = JSON.parse(value) as JournalRecord;
    return record.e === "called" ? [record.key] : [];
  });
