import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { IndexRow, Key, RangeQuery } from "../engine.ts";

/** A bare `LIMIT ?` is parsed anew whenever its value changes, for SQLite plans by it. */
export const limitTo = "LIMIT (? + 0)";

/** Reads `table` (`ranked` or `lease`), which has the columns key, member and score, by score. */
export function createRanges(db: DatabaseSync, table: "ranked" | "lease") {
  const value = table === "ranked" ? "value" : "NULL AS value";
  // The first bound is where the walk starts: a score, or the row of a cursor. The second is where it ends.
  const prepare = (start: string, end: string, order: string): StatementSync =>
    db.prepare(
      `SELECT member, score, ${value} FROM ${table}
       WHERE key = ? AND ${start} AND score ${end} ? ORDER BY score ${order}, member ${order} ${limitTo}`,
    );
  const up = prepare("score >= ?", "<=", "ASC");
  const upAfter = prepare("(score, member) > (?, ?)", "<=", "ASC");
  const down = prepare("score <= ?", ">=", "DESC");
  const downAfter = prepare("(score, member) < (?, ?)", ">=", "DESC");

  return (key: Key, query: RangeQuery): IndexRow[] => {
    const { from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY, after, limit, reverse = false } = query;
    const [start, end] = reverse ? [to, from] : [from, to];
    const cursor = after !== undefined && (reverse ? after.score <= start : after.score >= start) ? after : undefined;
    const rows =
      cursor === undefined
        ? (reverse ? down : up).all(key, start, end, limit)
        : (reverse ? downAfter : upAfter).all(key, cursor.score, cursor.member, end, limit);
    return rows as unknown as IndexRow[];
  };
}
