import { buffer } from "node:stream/consumers";
import { SaltError } from "#shared/domain/errors.ts";
import { type Partition, partitionOf, runOfTask, sha256, type TaskId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { isTerminalTask } from "#shared/domain/states.ts";
import type { BlobStore } from "../blobs/blobs.ts";
import type { Engine } from "../engine/engine.ts";
import { at, type DraftWrite, type Move, type Mover, writing } from "../engine/move.ts";
import { outputLog, type TaskRecord, taskKey } from "../records.ts";
import { letGo, logOwner, refer } from "../state/blob-refs.ts";
import { removalKey } from "../state/kept-records.ts";
import { packLog, unpackLog } from "../state/log-archive.ts";
import { archivesIndex, entriesBefore, liveLogsIndex, type TaskLogRecord, taskLogKey } from "../state/log-records.ts";
import { dueRows } from "./due-rows.ts";

/**
 * Moves the logs of tasks that have ended out of the engine into blobs, one a task. The commit that says where a log's
 * entries are now is the one that takes them out of the engine, so a reader finds each in one place or the other. What
 * still comes afterwards begins the engine's log anew, and is put behind the rest when it is archived in its turn.
 */
export interface ArchiveLogsDeps {
  readonly engine: Engine;
  readonly mover: Mover;
  readonly blobs: BlobStore;
}

/** How long after its end a task's log is archived: readers that follow it have then come to its end. */
const archiveAfterMs = 5 * 60_000;
export const logsPerSweepMax = 50;
const entriesPerPage = 1_000;

/** Whether there may be more to do at once. */
export async function archiveLogs(deps: ArchiveLogsDeps, partition: Partition): Promise<boolean> {
  const due = { afterMs: archiveAfterMs, limit: logsPerSweepMax };
  const rows = await dueRows(deps.engine, liveLogsIndex(partition), due);
  const refused: unknown[] = [];
  for (const { member } of rows) {
    await archiveLog(deps, member as TaskId).catch((error: unknown) => {
      // A store or an engine that is away has nothing for the others either; a damaged archive is its own log's alone.
      if (error instanceof SaltError && error.retryable) throw error;
      refused.push(error);
    });
  }
  if (refused.length > 0) throw refused[0];
  return rows.length === logsPerSweepMax;
}

async function archiveLog(deps: ArchiveLogsDeps, task: TaskId): Promise<void> {
  const { nowMs, found } = await deps.engine.get([taskKey(task), taskLogKey(task)]);
  const record = JSON.parse(found[0]?.value ?? "null") as TaskRecord | null;
  const log = JSON.parse(found[1]?.value ?? "null") as TaskLogRecord | null;
  const isOver =
    record !== null && isTerminalTask(record.state) && nowMs - (record.endedAtMs ?? nowMs) >= archiveAfterMs;
  const entries = isOver && log && isWhole(log) ? await readAll(deps, task, log) : null;
  const archive = entries && (await storeArchive(deps, entries));
  await deps.mover.move(partitionOf(runOfTask(task)), setArchive, { task, archive });
}

/** What comes after the rest was dropped goes the same way. */
const isWhole = ({ dropped, archive }: TaskLogRecord): boolean => dropped === undefined || archive !== undefined;

/** All entries of a log from the first that is kept on; null when it is not as its record says. */
async function readAll(deps: ArchiveLogsDeps, task: TaskId, log: TaskLogRecord): Promise<string[] | null> {
  const entries: string[] = [];
  if (log.archive) {
    const found = await deps.blobs.get(log.archive.blob);
    if (!found) return null;
    entries.push(...(await unpackLog(await buffer(found.stream))));
  }
  for (let after = 0; ; ) {
    const page = await deps.engine.read(outputLog(task), after, entriesPerPage);
    entries.push(...page.map(({ value }) => value));
    const last = page.at(-1);
    if (!last || page.length < entriesPerPage) return entries.length === log.entries ? entries : null;
    after = last.position;
  }
}

type Archive = Omit<NonNullable<TaskLogRecord["archive"]>, "atMs">;

async function storeArchive({ blobs }: ArchiveLogsDeps, entries: readonly string[]): Promise<Archive> {
  const packed = await packLog(entries);
  const blob = sha256(packed);
  await blobs.put(blob, packed, limits.fileBytesMax);
  return { blob, bytes: packed.length, entries: entries.length };
}

interface SetArchive {
  readonly task: TaskId;
  /** Null: not yet. */
  readonly archive: Archive | null;
}

const setArchive: Move<SetArchive, void> = {
  name: "archiveLog",
  fresh: true,
  bulk: true,
  frees: true,
  reads: ({ task }) => [taskLogKey(task), removalKey(runOfTask(task))],
  decide(view, { task, archive }) {
    const partition = partitionOf(runOfTask(task));
    const log = view.get<TaskLogRecord>(taskLogKey(task));
    const index = liveLogsIndex(partition);
    // It is gone or going with its run, which may have looked already for what refers to blobs, or it is archived.
    const isGoing = view.get(removalKey(runOfTask(task))) !== null;
    if (isGoing || !log || log.entries === entriesBefore(log)) return writing({ kind: "unrank", index, member: task });
    const nowMs = Math.round(view.nowMs);
    if (!isWhole(log)) {
      const value: TaskLogRecord = { ...log, dropped: log.entries };
      const set: DraftWrite = { kind: "set", key: taskLogKey(task), value };
      return writing(set, { kind: "delete", key: outputLog(task) }, { kind: "unrank", index, member: task });
    }
    if (archive?.entries !== log.entries) return writing({ kind: "rank", index, member: task, score: at(nowMs) });
    const { dropped: _, ...kept } = log;
    const value: TaskLogRecord = { ...kept, archive: { ...archive, atMs: nowMs } };
    const before = log.archive && log.archive.blob !== archive.blob ? [log.archive.blob] : [];
    return writing(
      { kind: "set", key: taskLogKey(task), value },
      { kind: "delete", key: outputLog(task) },
      { kind: "unrank", index, member: task },
      { kind: "rank", index: archivesIndex(partition), member: task, score: at(nowMs) },
      ...letGo(partition, logOwner(task), before),
      ...refer(partition, logOwner(task), [archive.blob]),
    );
  },
};

/** Drops logs that were archived `keepMs` ago or longer; whether there may be more to do at once. */
export async function dropLogs(
  deps: Pick<ArchiveLogsDeps, "engine" | "mover">,
  partition: Partition,
  keepMs: number,
): Promise<boolean> {
  const rows = await dueRows(deps.engine, archivesIndex(partition), { afterMs: keepMs, limit: logsPerSweepMax });
  await Promise.all(rows.map(({ member }) => deps.mover.move(partition, dropLog, { task: member as TaskId, keepMs })));
  return rows.length === logsPerSweepMax;
}

const dropLog: Move<{ readonly task: TaskId; readonly keepMs: number }, void> = {
  name: "dropLog",
  fresh: true,
  bulk: true,
  frees: true,
  reads: ({ task }) => [taskLogKey(task)],
  decide(view, { task, keepMs }) {
    const partition = partitionOf(runOfTask(task));
    const log = view.get<TaskLogRecord>(taskLogKey(task));
    // It was archived again since.
    if (log?.archive && view.nowMs - log.archive.atMs < keepMs) return { transactions: [], answer: () => undefined };
    const unranked: DraftWrite = { kind: "unrank", index: archivesIndex(partition), member: task };
    if (!log?.archive) return writing(unranked);
    const { archive, ...kept } = log;
    const value: TaskLogRecord = { ...kept, dropped: archive.entries };
    return writing(
      { kind: "set", key: taskLogKey(task), value },
      unranked,
      ...letGo(partition, logOwner(task), [archive.blob]),
    );
  },
};
