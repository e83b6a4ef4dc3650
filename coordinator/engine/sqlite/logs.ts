import type { DatabaseSync } from "node:sqlite";
import type { Key, LogEntry } from "../engine.ts";
import { limitTo } from "./ranges.ts";

export function createLogs(db: DatabaseSync) {
  const end = db.prepare("SELECT max(position) AS position FROM log WHERE key = ?");
  const append = db.prepare("INSERT INTO log (key, position, at_ms, value) VALUES (?, ?, ?, ?)");
  const read = db.prepare(
    `SELECT position, at_ms AS atMs, value FROM log WHERE key = ? AND position > ? ORDER BY position ${limitTo}`,
  );

  const trim = db.prepare(
    "DELETE FROM log WHERE key = ? AND position <= min(?, (SELECT max(position) - 1 FROM log WHERE key = ?))",
  );
  const remove = db.prepare("DELETE FROM log WHERE key = ?");

  return {
    /** Drops entries up to a position, but never the last. */
    trim: (log: Key, through: number): void => void trim.run(log, through, log),
    delete: (log: Key): void => void remove.run(log),
    /** The position of the last entry, 0 when there is none. */
    end: (log: Key): number => Number(end.get(log)?.position ?? 0),
    append: (log: Key, { position, atMs, value }: LogEntry): void => void append.run(log, position, atMs, value),
    read(log: Key, after: number, limit: number, bytesMax: number): LogEntry[] {
      const entries: LogEntry[] = [];
      let bytes = 0;
      for (const row of read.iterate(log, after, limit)) {
        const entry = row as unknown as LogEntry;
        bytes += Buffer.byteLength(entry.value);
        if (entries.length > 0 && bytes > bytesMax) break;
        entries.push({ position: entry.position, atMs: entry.atMs, value: entry.value });
      }
      return entries;
    },
  };
}
