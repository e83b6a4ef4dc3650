import { SaltError } from "#shared/domain/errors.ts";
import { isRunId, partitionOf, type RunId } from "#shared/domain/ids.ts";
import type { RunView } from "#shared/protocol/api.ts";
import type { Engine } from "../engine/engine.ts";
import { type RunRecord, runKey, runsIndex } from "../records.ts";
import type { Place } from "./page.ts";
import { parseFound, viewRuns } from "./views.ts";

/** How many of the newest runs a shortened id is looked for in. */
const lookedAtMax = 10_000;
const pageRows = 1_000;

/** Of a run that was removed nothing is left that would tell. */
export const unknownRun = (text: string): SaltError =>
  new SaltError("NotFound", `There is no run '${text}'. If there was one, it was removed some time after its end.`, {
    next: "List runs with 'salt runs list'. How long they are kept is in docs/operations.md.",
  });

/** The id that the text is, or is the beginning of (10 characters or more). `NotFound`; `BadRequest` when several begin so. */
export async function findRunId(
  deps: { readonly engine: Engine; readonly partitions: number },
  text: string,
): Promise<RunId> {
  if (isRunId(text)) return text;
  const partition = partitionOf(text as RunId);
  if (!(Number(partition.slice(1)) < deps.partitions)) throw unknownRun(text);
  const matches = new Set<RunId>();
  let after: Place | undefined;
  for (let looked = 0; looked < lookedAtMax && matches.size < 2; looked += pageRows) {
    const query = { limit: pageRows, reverse: true, ...(after ? { after } : {}) };
    const { rows } = await deps.engine.range(runsIndex(partition), query);
    for (const { member } of rows) if (member.startsWith(text)) matches.add(member as RunId);
    after = rows.at(-1);
    if (rows.length < pageRows) break;
  }
  const [run, another] = matches;
  if (!run) throw unknownRun(text);
  if (!another) return run;
  throw new SaltError("BadRequest", `Cannot tell which run '${text}' is: ${run} and ${another} begin so.`, {
    next: "Give more of the id.",
  });
}

export async function readRun(engine: Engine, run: RunId): Promise<RunRecord> {
  const { found } = await engine.get([runKey(run)]);
  const record = parseFound<RunRecord>(found[0]);
  if (!record) throw unknownRun(run);
  return record;
}

export async function viewRun(engine: Engine, run: RunId): Promise<RunView> {
  const [view] = await viewRuns(engine, [run]);
  if (!view) throw unknownRun(run);
  return view;
}
