import type { Partition } from "#shared/domain/ids.ts";
import type { Engine, IndexRow, Key } from "../engine/engine.ts";

export interface MergedRow extends IndexRow {
  readonly partition: Partition;
}

export interface MergeQuery {
  readonly limit: number;
  readonly reverse?: boolean;
  /** Rows strictly after this one in the order of the query: one cursor for all partitions. */
  readonly after?: { readonly score: number; readonly member: string };
}

/** The first `limit` rows by (score, member) of one index over all partitions. */
export async function mergeRange(
  engine: Engine,
  partitions: readonly Partition[],
  indexOf: (partition: Partition) => Key,
  query: MergeQuery,
): Promise<readonly MergedRow[]> {
  const parts = await Promise.all(
    partitions.map(async (partition) => {
      const { rows } = await engine.range(indexOf(partition), query);
      return rows.map((row): MergedRow => ({ ...row, partition }));
    }),
  );
  const sign = query.reverse ? -1 : 1;
  const rows = parts.flat().sort((a, b) => sign * (a.score - b.score || (a.member < b.member ? -1 : 1)));
  return rows.slice(0, query.limit);
}
