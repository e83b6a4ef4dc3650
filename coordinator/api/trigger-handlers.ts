import { SaltError } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import { viewRun } from "./find-run.ts";
import { type ApiDeps, type Handlers, Reply } from "./handlers.ts";
import { pageOf, placeOfCursor } from "./page.ts";
import { readBody } from "./read-body.ts";
import { idempotencyKeyOf } from "./run-handlers.ts";

type TriggerHandlers = Pick<Handlers, "listTriggers" | "fireTrigger" | "receiveWebhook" | "rotateSecret">;

export function triggerHandlers(deps: ApiDeps): TriggerHandlers {
  const { triggers } = deps;
  return {
    async listTriggers({ query }) {
      return pageOf(await triggers.listTriggers({ limit: query.limit, ...placeOfCursor(query.cursor) }));
    },

    async fireTrigger({ params, body, texts, actor, raw }) {
      const key = idempotencyKeyOf(raw);
      const text = texts.get("input");
      const fired = await triggers.fireTrigger({
        ...params,
        by: actor,
        ...(text === undefined ? {} : { input: { value: body.input, text } }),
        ...(key === null ? {} : { idempotencyKey: key }),
      });
      if (!fired) throw unknownTrigger(params);
      const object = `${params.project}/${params.trigger}`;
      if (fired.created) {
        await deps.access.recordAudit({ actor, action: "trigger.fire", object, after: { run: fired.run } });
      }
      const view = await viewRun(deps.engine, fired.run);
      return new Reply(view, { status: fired.created ? 201 : 200, headers: { location: `/v1/runs/${fired.run}` } });
    },

    async receiveWebhook({ params, raw }) {
      const body = await readBody(deps, raw, limits.requestBytesMax);
      const header = (name: string) => raw.headers.get(name) ?? "";
      const delivery = {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body,
      };
      return triggers.receiveWebhook({ ...params, delivery });
    },

    async rotateSecret({ params, actor }) {
      const rotated = await triggers.rotateSecret({ ...params, by: actor });
      if (!rotated) throw unknownTrigger(params);
      return rotated;
    },
  };
}

const unknownTrigger = ({ project, trigger }: { project: string; trigger: string }): SaltError =>
  new SaltError("NotFound", `Project '${project}' has no such trigger '${trigger}'.`, {
    next: "List triggers with 'salt triggers list'.",
  });
