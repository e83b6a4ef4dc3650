import { SaltError } from "#shared/domain/errors.ts";
import { type CallKey, type RunId, sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Value } from "#shared/protocol/common.ts";
import type { Engine } from "../engine/engine.ts";
import { calledIn, journalLog } from "../records.ts";
import { storeValue } from "../state/store-value.ts";
import { findRunId, readRun, viewRun } from "./find-run.ts";
import { createFleetView } from "./fleet-view.ts";
import { type ApiDeps, type Handlers, Reply } from "./handlers.ts";
import { listRuns } from "./list-runs.ts";
import { pageOf, placeOfCursor } from "./page.ts";
import { valueResponse } from "./value-response.ts";
import { viewTasks } from "./view-tasks.ts";

type RunHandlers = Pick<Handlers, "openRun" | "listRuns" | "getRun" | "listTasks" | "getTask" | "getOutput">;

/** Opening and looking at runs. */
export function runHandlers(deps: ApiDeps): RunHandlers {
  const { engine } = deps;
  const seen = { ...deps, fleet: createFleetView(deps) };
  return {
    openRun: (request) => openRun(deps, request),
    listRuns: async ({ query }) => pageOf(await listRuns(deps, query)),
    getRun: async ({ params }) => viewRun(engine, await findRunId(deps, params.run)),

    async listTasks({ params, query }) {
      const run = await findRunId(deps, params.run);
      await readRun(engine, run);
      const from = placeOfCursor(query.cursor).after?.score ?? 0;
      const { keys, after } = await readCalls(engine, run, from, query.limit);
      const next = after === null ? null : { score: after, member: "" };
      return pageOf({ rows: await viewTasks(seen, run, keys), next });
    },

    async getTask({ params }) {
      const run = await findRunId(deps, params.run);
      await readRun(engine, run);
      const [task] = await viewTasks(seen, run, [params.key as CallKey]);
      if (!task) throw new SaltError("NotFound", `Run '${run}' has no task '${params.key}'.`);
      return task;
    },

    async getOutput({ params, raw }) {
      const run = await readRun(engine, await findRunId(deps, params.run));
      if (run.output) return valueResponse(deps, run.output, raw);
      throw new SaltError("NotFound", `Run '${run.id}' has no output: it is ${run.state}.`, {
        ...(run.failure ? { details: { failure: run.failure } } : {}),
      });
    },
  };
}

/** Up to `limit` calls from a journal position on, and the position behind them while there may be more. */
async function readCalls(engine: Engine, run: RunId, from: number, limit: number) {
  const keys: CallKey[] = [];
  let after = from;
  while (keys.length < limit) {
    const entries = await engine.read(journalLog(run), after, limit);
    for (const entry of entries) {
      if (keys.length === limit) break;
      keys.push(...calledIn([entry]));
      after = entry.position;
    }
    if (entries.length < limit && keys.length < limit) return { keys, after: null };
  }
  return { keys, after };
}

const openRun: (deps: ApiDeps, request: Parameters<Handlers["openRun"]>[0]) => ReturnType<Handlers["openRun"]> = async (
  deps,
  { body, texts, actor, raw },
) => {
  const { project, workflow, priority } = body;
  const release = await deps.registry.readCurrentRelease(project);
  if (!release) {
    throw new SaltError("UnknownWorkflow", `Cannot open a run: there is no project '${project}'.`, {
      next: "List what is registered with 'salt workflows list'.",
    });
  }
  const checked = deps.registry.checkInput({ release, workflow, input: body.input });
  const input: Value = await storeValue(deps, texts.get("input") ?? JSON.stringify(checked));
  const key = idempotencyKeyOf(raw);
  const digest = sha256(JSON.stringify([project, workflow, checked, priority ?? 0]));
  const outcome = await deps.runs.openRun({
    project,
    workflow,
    input,
    trigger: { kind: "manual", name: null, by: actor },
    ...(key === null ? {} : { identity: { source: "api", key, digest } }),
    ...(priority === undefined ? {} : { priority }),
  });
  if (outcome.kind === "reused") throw reusedKey(outcome.run);
  const view = await viewRun(deps.engine, outcome.run);
  const headers = { location: `/v1/runs/${outcome.run}` };
  return new Reply(view, { status: outcome.kind === "opened" ? 201 : 200, headers });
};

export const reusedKey = (run: string): SaltError =>
  new SaltError("IdempotencyKeyReused", "Cannot open the run: its Idempotency-Key was used for another request.", {
    details: { run },
    next: "Use a new key for a new request.",
  });

/** The request's `Idempotency-Key`, or null. */
export function idempotencyKeyOf(raw: Request): string | null {
  const key = raw.headers.get("idempotency-key");
  if (key === null) return null;
  if (/^[!-~]+$/.test(key) && key.length <= limits.idempotencyKeyCharsMax) return key;
  throw new SaltError(
    "BadRequest",
    `Cannot use the Idempotency-Key: it must be of 1 to ${limits.idempotencyKeyCharsMax} printable ASCII characters without spaces.`,
  );
}
