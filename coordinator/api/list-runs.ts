import type { RunId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { RunView } from "#shared/protocol/api.ts";
import type { Query } from "#shared/protocol/routes.ts";
import type { Engine } from "../engine/engine.ts";
import { runsIndex } from "../records.ts";
import { mergeRange } from "../state/merge-range.ts";
import { allPartitions } from "../state/projects.ts";
import { type Place, placeOfCursor } from "./page.ts";
import { viewRuns } from "./views.ts";

const pageRows = 200;

/**
 * Runs, newest first, over all partitions. With a filter, one request looks at `runsLookedAtMax` runs: then a page may be
 * short, or empty, and yet have a cursor.
 */
export async function listRuns(
  deps: { readonly engine: Engine; readonly partitions: number },
  query: Query<"listRuns">,
): Promise<{ rows: readonly RunView[]; next: Place | null }> {
  const rows: RunView[] = [];
  let after = placeOfCursor(query.cursor).after;
  for (let looked = 0; looked < limits.runsLookedAtMax; ) {
    const limit = isFiltered(query) ? pageRows : query.limit;
    const page = { limit, reverse: true, ...(after ? { after } : {}) };
    const found = await mergeRange(deps.engine, allPartitions(deps.partitions), runsIndex, page);
    const named = found.filter(({ value }) => isNamed(query, value ?? ""));
    const views = await viewRuns(
      deps.engine,
      named.map(({ member }) => member as RunId),
    );
    const byId = new Map(views.map((view) => [view.id as string, view]));
    for (const { score, member } of found) {
      after = { score, member };
      const view = byId.get(member);
      if (!view || (query.status !== undefined && view.status !== query.status)) continue;
      rows.push(view);
      if (rows.length === query.limit) return { rows, next: after };
    }
    looked += found.length;
    if (found.length < limit) return { rows, next: null };
  }
  return { rows, next: after ?? null };
}

const isFiltered = ({ status, project, workflow }: Query<"listRuns">): boolean =>
  status !== undefined || project !== undefined || workflow !== undefined;

/** `label` is `<project>/<workflow>`, so that these filters read no record. */
function isNamed({ project, workflow }: Query<"listRuns">, label: string): boolean {
  const slash = label.indexOf("/");
  return (
    (project === undefined || project === label.slice(0, slash)) &&
    (workflow === undefined || workflow === label.slice(slash + 1))
  );
}
