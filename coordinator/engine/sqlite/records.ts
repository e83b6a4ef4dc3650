import type { DatabaseSync } from "node:sqlite";
import { assert } from "#shared/domain/assert.ts";
import type { Key } from "../engine.ts";

/** Records and counters. */
export function createRecords(db: DatabaseSync) {
  const find = db.prepare("SELECT stamp, value FROM record WHERE key = ?");
  const stamp = db.prepare("SELECT stamp FROM record WHERE key = ?");
  // Rows as arrays: an object costs half as much again as the look-up.
  stamp.setReturnArrays(true);
  const set = db.prepare(`INSERT INTO record (key, stamp, value) VALUES (?, ?, ?)
     ON CONFLICT DO UPDATE SET stamp = excluded.stamp, value = excluded.value`);
  const remove = db.prepare("DELETE FROM record WHERE key = ?");
  const add = db.prepare(
    `INSERT INTO record (key, stamp, value) VALUES (?, 'counter', CAST(? AS INTEGER))
     ON CONFLICT DO UPDATE SET value = value + excluded.value WHERE stamp = 'counter'`,
  );

  return {
    find(key: Key): { stamp: string; value: string } | undefined {
      const row = find.get(key);
      return row && { stamp: String(row.stamp), value: String(row.value) };
    },
    stamp(key: Key): string | null {
      const row = stamp.get(key) as unknown as [string] | undefined;
      return row === undefined ? null : row[0];
    },
    /** 0 when there is none. */
    count: (key: Key): number => Number(find.get(key)?.value ?? 0),
    set: (key: Key, stamp: string, value: string): void => void set.run(key, stamp, value),
    delete: (key: Key): void => void remove.run(key),
    add(counter: Key, delta: number): void {
      assert(add.run(counter, delta).changes === 1, `${counter} is a record and not a counter`);
    },
  };
}
