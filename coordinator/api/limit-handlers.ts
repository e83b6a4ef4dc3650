import { limits } from "#shared/domain/limits.ts";
import type { LimitView } from "#shared/protocol/limit-views.ts";
import type { Engine, Key } from "../engine/engine.ts";
import { holdersIndex, type LimitRow, limitsIndex, parseLimit, waitersIndex } from "../state/limit-records.ts";
import { type MergedRow, mergeRange } from "../state/merge-range.ts";
import { allPartitions } from "../state/projects.ts";
import type { ApiDeps, Handlers } from "./handlers.ts";
import { pageOf, placeOfCursor } from "./page.ts";

export const limitHandlers = ({ engine, partitions }: ApiDeps): Pick<Handlers, "listLimits"> => ({
  async listLimits({ query }) {
    const page = { limit: query.limit, ...placeOfCursor(query.cursor) };
    const rows = await mergeRange(engine, allPartitions(partitions), limitsIndex, page);
    const last = rows.length === query.limit ? rows.at(-1) : undefined;
    return pageOf({ rows: await Promise.all(rows.map((row) => viewLimit(engine, row))), next: last ?? null });
  },
});

async function viewLimit(engine: Engine, { partition, member, value }: MergedRow): Promise<LimitView> {
  const limit = parseLimit(partition, member);
  const { max } = JSON.parse(value ?? '{"max":0}') as LimitRow;
  const [held, waiting] = await Promise.all([
    countOf(engine, holdersIndex(limit)),
    countOf(engine, waitersIndex(limit)),
  ]);
  return { project: limit.project, name: limit.name, max, held, waiting };
}

const countOf = async (engine: Engine, index: Key): Promise<number> =>
  (await engine.range(index, { limit: limits.waitersCountedMax })).rows.length;
