import { SaltError } from "#shared/domain/errors.ts";
import { newId, type RunId } from "#shared/domain/ids.ts";
import type { EndRunOutcome, SignalOutcome } from "../stages.ts";
import { storeValue } from "../state/store-value.ts";
import { findRunId, unknownRun, viewRun } from "./find-run.ts";
import { type ApiDeps, type Handlers, Reply } from "./handlers.ts";

type RunActionHandlers = Pick<Handlers, "cancelRun" | "retryRun" | "signalRun" | "sendEvent">;

/** What is done to runs that are there already. */
export function runActionHandlers(deps: ApiDeps): RunActionHandlers {
  return {
    async cancelRun({ params, body, actor }) {
      const run = await findRunId(deps, params.run);
      requireDone(await deps.runs.cancelRun({ run, reason: body.reason, by: actor }), run, "cancel");
      await deps.access.recordAudit({ actor, action: "run.cancel", object: run, after: { reason: body.reason } });
      return viewRun(deps.engine, run);
    },

    async retryRun({ params, actor }) {
      const run = await findRunId(deps, params.run);
      const retried = await deps.runs.retryRun({ run, by: actor });
      if (retried === null) throw unknownRun(run);
      await deps.access.recordAudit({ actor, action: "run.retry", object: run, after: { run: retried } });
      const headers = { location: `/v1/runs/${retried}` };
      return new Reply(await viewRun(deps.engine, retried), { headers });
    },

    async signalRun({ params, body, texts, actor }) {
      const run = await findRunId(deps, params.run);
      const id = body.id ?? newId("sig", deps.clock, deps.random);
      const value = await storeValue(deps, texts.get("value") ?? "null");
      const outcome = await deps.runs.signalRun({ run, name: params.name, id, value, by: actor });
      if (outcome.kind === "full") {
        throw new SaltError("TooMany", `Cannot signal run '${run}': its mailbox holds 1,000 signals not taken yet.`, {
          next: "Send it again when the run has taken some.",
        });
      }
      requireDone(outcome, run, "signal");
      await deps.access.recordAudit({ actor, action: "run.signal", object: `${run}/${params.name}`, after: { id } });
      return { id };
    },

    async sendEvent({ body, texts, actor }) {
      const { project, name } = body;
      // Nobody can wait in it, so the name is misspelt; to accept the event would be to lose it.
      if ((await deps.registry.readCurrentRelease(project)) === null) {
        throw new SaltError("NotFound", `Cannot send the event: there is no project '${project}'.`, {
          next: "List what is registered with 'salt workflows list'.",
        });
      }
      const id = body.id ?? newId("evt", deps.clock, deps.random);
      const value = await storeValue(deps, texts.get("value") ?? "null");
      const { position } = await deps.runs.sendEvent({ project, name, id, value, by: actor });
      await deps.access.recordAudit({ actor, action: "event.send", object: `${project}/${name}`, after: { id } });
      return { id, position };
    },
  };
}

function requireDone(outcome: EndRunOutcome | SignalOutcome, run: RunId, what: string): void {
  if (outcome.kind === "unknown") throw unknownRun(run);
  if (outcome.kind === "ended") throw new SaltError("RunEnded", `Cannot ${what} run '${run}': it has ended.`);
}
