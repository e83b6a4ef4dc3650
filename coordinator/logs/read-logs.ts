import { type CallKey, type RunId, taskId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { LogRow } from "#shared/protocol/api.ts";
import type { Engine, LogEntry } from "../engine/engine.ts";
import { outputLog } from "../records.ts";
import { type LogPointer, type LogRecord, runOutputLog } from "./log-records.ts";

export interface LogsQuery {
  readonly run: RunId;
  /** One task's log; without it the run's, in which positions count appended batches of chunks. */
  readonly key?: CallKey;
  /** Rows after this position of what is asked for. */
  readonly after: number;
  readonly limit: number;
}

/**
 * Rows after a position, in the order of their arrival. Rows of a run's log that arrived together share a position and
 * are never parted, so a page may hold a few more than `limit`; `after` for the next is the last row's position.
 */
export async function readLogs(deps: { readonly engine: Engine }, query: LogsQuery): Promise<readonly LogRow[]> {
  const { run, key, after, limit } = query;
  if (key !== undefined) {
    const entries = await deps.engine.read(outputLog(taskId(run, key)), after, limit, limits.journalPageBytes);
    return entries.map((entry) => rowOf(key, entry.position, entry));
  }
  const rows: LogRow[] = [];
  let bytes = 0;
  for (const pointer of await deps.engine.read(runOutputLog(run), after, limit)) {
    const { key: task, first, last } = JSON.parse(pointer.value) as LogPointer;
    const entries = await readSpan(deps.engine, run, task, first, last);
    for (const entry of entries) {
      rows.push(rowOf(task, pointer.position, entry));
      bytes += entry.value.length;
    }
    if (rows.length >= limit || bytes >= limits.journalPageBytes) break;
  }
  return rows;
}

async function readSpan(engine: Engine, run: RunId, key: CallKey, first: number, last: number): Promise<LogEntry[]> {
  const log = outputLog(taskId(run, key));
  const entries: LogEntry[] = [];
  for (let after = first - 1; after < last; ) {
    const more = await engine.read(log, after, last - after);
    if (more.length === 0) break;
    entries.push(...more);
    after = more.at(-1)?.position ?? last;
  }
  return entries;
}

function rowOf(key: CallKey, position: number, entry: LogEntry): LogRow {
  const record = JSON.parse(entry.value) as LogRecord;
  return { position, key, ...record };
}
