import type { DatabaseSync } from "node:sqlite";
import type { Key } from "../engine.ts";
import { createRanges, limitTo } from "./ranges.ts";

/** Indexes, of which queues are some. */
export function createIndexes(db: DatabaseSync) {
  const set = db.prepare(`INSERT INTO ranked (key, member, score, value) VALUES (?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET score = excluded.score, value = excluded.value`);
  const remove = db.prepare("DELETE FROM ranked WHERE key = ? AND member = ?");
  const removeThrough = db.prepare("DELETE FROM ranked WHERE key = ? AND (score, member) <= (?, ?)");
  const has = db.prepare("SELECT 1 FROM ranked WHERE key = ? AND member = ?");
  const any = db.prepare("SELECT 1 FROM ranked WHERE key = ? LIMIT 1");
  const count = db.prepare(`SELECT count(*) AS count FROM (SELECT 1 FROM ranked WHERE key = ? ${limitTo})`);
  const isEmpty = (key: Key): boolean => any.get(key) === undefined;

  return {
    range: createRanges(db, "ranked"),
    set: (key: Key, member: string, score: number, value: string | null): void =>
      void set.run(key, member, score, value),
    /** Whether the member was there. */
    delete: (key: Key, member: string): boolean => remove.run(key, member).changes !== 0,
    /** Removes all up to this row, by score and member. */
    deleteThrough: (key: Key, row: { score: number; member: string }): void =>
      void removeThrough.run(key, row.score, row.member),
    has: (key: Key, member: string): boolean => has.get(key, member) !== undefined,
    isEmpty,
    /** That there is none is what settlements ask, one by one. */
    fewer: (key: Key, than: number): boolean =>
      than === 1 ? isEmpty(key) : Number(count.get(key, Math.max(0, than))?.count) < than,
  };
}
