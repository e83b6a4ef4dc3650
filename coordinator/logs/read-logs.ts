import { type CallKey, type RunId, taskId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { LogRow } from "#shared/protocol/api.ts";
import type { Engine } from "../engine/engine.ts";
import { type LogPointer, type LogRecord, runOutputLog } from "../state/log-records.ts";
import type { ReadArchive } from "./read-archive.ts";
import { type NumberedEntry, readTaskLog } from "./read-task-log.ts";

export interface ReadLogsDeps {
  readonly engine: Engine;
  readonly readArchive: ReadArchive;
}

export interface LogsQuery {
  readonly run: RunId;
  /** One task's log; without it the run's, in which positions count appended batches of chunks. */
  readonly key?: CallKey;
  /** Rows after this position of what is asked for. */
  readonly after: number;
  readonly limit: number;
}

/**
 * Rows after a position, in the order of their arrival, whether they are in the engine or archived. Rows of a run's log
 * that arrived together share a position and are never parted, so a page may hold a few more than `limit`; `after` for
 * the next is the last row's position. What was dropped after its time is passed over.
 */
export async function readLogs(deps: ReadLogsDeps, query: LogsQuery): Promise<readonly LogRow[]> {
  const { run, key, limit } = query;
  if (key !== undefined) {
    const entries = await readTaskLog(deps, taskId(run, key), { after: query.after, limit });
    return entries.map(({ number, value }) => rowOf(key, number, value));
  }
  const rows: LogRow[] = [];
  let bytes = 0;
  for (let { after } = query; ; ) {
    const pointers = await deps.engine.read(runOutputLog(run), after, limit);
    for (const pointer of pointers) {
      const { key: task, first, last } = JSON.parse(pointer.value) as LogPointer;
      for (const { value } of await readSpan(deps, run, task, first, last)) {
        rows.push(rowOf(task, pointer.position, value));
        bytes += value.length;
      }
      if (rows.length >= limit || bytes >= limits.journalPageBytes) return rows;
    }
    const lastPointer = pointers.at(-1);
    // A page without a row says that there is none: what follows dropped logs is looked for.
    if (!lastPointer || rows.length > 0) return rows;
    after = lastPointer.position;
  }
}

async function readSpan(
  deps: ReadLogsDeps,
  run: RunId,
  key: CallKey,
  first: number,
  last: number,
): Promise<NumberedEntry[]> {
  const entries: NumberedEntry[] = [];
  for (let after = first - 1; after < last; ) {
    const more = await readTaskLog(deps, taskId(run, key), { after, limit: last - after });
    const mine = more.filter(({ number }) => number <= last);
    entries.push(...mine);
    const end = mine.at(-1);
    if (!end) break;
    after = end.number;
  }
  return entries;
}

function rowOf(key: CallKey, position: number, value: string): LogRow {
  const { n: _, ...record } = JSON.parse(value) as LogRecord;
  return { position, key, ...record };
}
