import type { Engine, IndexRow, Key } from "../engine/engine.ts";

/** The first rows of an index of times whose time is `afterMs` ago or longer. None when that is for ever. */
export async function dueRows(
  engine: Engine,
  index: Key,
  { afterMs, limit }: { readonly afterMs: number; readonly limit: number },
): Promise<readonly IndexRow[]> {
  if (afterMs === Infinity) return [];
  const { nowMs, rows } = await engine.range(index, { limit });
  return rows.filter(({ score }) => score <= nowMs - afterMs);
}
