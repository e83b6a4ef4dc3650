import { type Partition, partitionOf, runOfTask, type TaskId } from "#shared/domain/ids.ts";
import { type Engine, type Key, leaseKey } from "../engine/engine.ts";
import type { DraftWrite } from "../engine/move.ts";
import {
  dependentsIndex,
  edgesIndex,
  linkingIndex,
  linkKey,
  outputLog,
  resolvingIndex,
  type TaskRecord,
  taskKey,
  timersIndex,
} from "../records.ts";
import { letGo, logOwner } from "../state/blob-refs.ts";
import { archivesIndex, liveLogsIndex, type TaskLogRecord, taskLogKey } from "../state/log-records.ts";
import { timerMember } from "../state/timers.ts";

/** Of what one thing has, so much goes in one step. */
export const perStepMax = 500;

export interface Removal {
  readonly writes: readonly DraftWrite[];
  /** Nothing of it is left when the writes have applied. */
  readonly whole: boolean;
}

/** What removes a task that has ended, with all that is kept of it, or as much as fits into a step. */
export async function removeTask(engine: Engine, task: TaskId): Promise<Removal> {
  const partition = partitionOf(runOfTask(task));
  const parts = [
    await emptyIndex(engine, edgesIndex(task)),
    await emptyIndex(engine, dependentsIndex(task)),
    await shortenLog(engine, outputLog(task)),
  ];
  const writes = parts.flatMap((part) => part.writes);
  if (!parts.every(({ whole }) => whole)) return { writes, whole: false };
  const { found } = await engine.get([taskKey(task), taskLogKey(task)]);
  const record = JSON.parse(found[0]?.value ?? "null") as TaskRecord | null;
  const log = JSON.parse(found[1]?.value ?? "null") as TaskLogRecord | null;
  return { writes: [...writes, ...ownWrites(partition, task, record, log)], whole: true };
}

function ownWrites(
  partition: Partition,
  task: TaskId,
  record: TaskRecord | null,
  log: TaskLogRecord | null,
): DraftWrite[] {
  const timers = (["delay", "call", "queue", "agent"] as const).map((kind) => timerMember({ kind, task }));
  const unranked: [Key, string][] = [
    ...timers.map((member): [Key, string] => [timersIndex(partition), member]),
    [resolvingIndex(partition), task],
    [linkingIndex(partition), task],
    [liveLogsIndex(partition), task],
    [archivesIndex(partition), task],
  ];
  return [
    ...[taskKey(task), leaseKey(partition, task), linkKey(task), taskLogKey(task)].map(deleted),
    ...unranked.map(([index, member]): DraftWrite => ({ kind: "unrank", index, member })),
    ...(record && record.queue !== "" ? [{ kind: "dequeue", queue: record.queue, member: task } as const] : []),
    ...(log?.archive ? letGo(partition, logOwner(task), [log.archive.blob]) : []),
  ];
}

export const deleted = (key: Key): DraftWrite => ({ kind: "delete", key });

/** What takes the first members out of an index. */
export async function emptyIndex(engine: Engine, index: Key): Promise<Removal> {
  const { rows } = await engine.range(index, { limit: perStepMax });
  const writes = rows.map(({ member }): DraftWrite => ({ kind: "unrank", index, member }));
  return { writes, whole: rows.length < perStepMax };
}

/** What drops the first entries of a log, or all when they are few: with none too, for one may come before this applies. */
export async function shortenLog(engine: Engine, log: Key): Promise<Removal> {
  const entries = await engine.read(log, 0, perStepMax);
  const last = entries.at(-1);
  if (!last || entries.length < perStepMax) return { writes: [deleted(log)], whole: true };
  return { writes: [{ kind: "trim", log, through: last.position }], whole: false };
}
