import type { TaskId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Engine, LogEntry } from "../engine/engine.ts";
import { outputLog } from "../records.ts";
import { entriesBefore, type LogRecord, type TaskLogRecord, taskLogKey } from "../state/log-records.ts";
import type { ReadArchive } from "./read-archive.ts";

export interface NumberedEntry {
  readonly number: number;
  /** The entry as stored. */
  readonly value: string;
}

interface ReadTaskLogDeps {
  readonly engine: Engine;
  readonly readArchive: ReadArchive;
}

/**
 * Entries of a task's log after a number, in order and without a gap, at most `limit` and about a page of bytes.
 *
 * Entries may move into the archive between two looks. An entry says its own number, so what is found at the place of
 * another is known to be another; and that there is none is believed only when the log's record says the same before
 * and after the look.
 */
export async function readTaskLog(
  deps: ReadTaskLogDeps,
  task: TaskId,
  { after, limit }: { readonly after: number; readonly limit: number },
): Promise<readonly NumberedEntry[]> {
  const entries = await deps.engine.read(outputLog(task), after, limit, limits.journalPageBytes);
  const first = entries[0];
  if (first && numberOf(first) === after + 1) return numbered(entries, 0);
  let record = await readRecord(deps.engine, task);
  for (;;) {
    if (!record || record.entries <= after) return [];
    const before = entriesBefore(record);
    if (record.archive && after < before) return readArchived(deps, record.archive, after, limit);
    const from = Math.max(after, before);
    const more = await deps.engine.read(outputLog(task), from - before, limit, limits.journalPageBytes);
    if (more[0] && numberOf(more[0]) === from + 1) return numbered(more, before);
    const again = await readRecord(deps.engine, task);
    if (entriesBefore(again) === before) return [];
    record = again;
  }
}

/** Of an entry without a number: what was never archived has that of its position. */
const numberOf = ({ value, position }: LogEntry): number => (JSON.parse(value) as LogRecord).n ?? position;

const numbered = (entries: readonly LogEntry[], before: number): NumberedEntry[] =>
  entries.map(({ position, value }) => ({ number: before + position, value }));

async function readRecord(engine: Engine, task: TaskId): Promise<TaskLogRecord | null> {
  const { found } = await engine.get([taskLogKey(task)]);
  return JSON.parse(found[0]?.value ?? "null") as TaskLogRecord | null;
}

async function readArchived(
  deps: ReadTaskLogDeps,
  archive: NonNullable<TaskLogRecord["archive"]>,
  after: number,
  limit: number,
): Promise<readonly NumberedEntry[]> {
  const all = await deps.readArchive(archive.blob);
  const page: NumberedEntry[] = [];
  let bytes = 0;
  for (const [index, value] of all.slice(after, after + limit).entries()) {
    bytes += value.length;
    if (page.length > 0 && bytes > limits.journalPageBytes) break;
    page.push({ number: after + index + 1, value });
  }
  return page;
}
