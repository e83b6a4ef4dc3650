import { SaltError } from "#shared/domain/errors.ts";
import type { ApiDeps, Handlers } from "./handlers.ts";
import { Reply } from "./handlers.ts";
import { pageOf, placeOfCursor } from "./page.ts";

type RegistryHandlers = Pick<
  Handlers,
  "registerRelease" | "listReleases" | "getRelease" | "listWorkflows" | "getWorkflow"
>;

export function registryHandlers({ registry }: ApiDeps): RegistryHandlers {
  return {
    async registerRelease({ body, actor }) {
      const registered = await registry.registerRelease({ manifest: body.manifest, by: actor });
      const headers = { location: `/v1/releases/${registered.release}` };
      return new Reply(registered, { status: registered.created ? 201 : 200, headers });
    },

    async listReleases({ query }) {
      return pageOf(await registry.listReleases({ ...query, ...placeOfCursor(query.cursor) }));
    },

    async getRelease({ params }) {
      const release = await registry.viewRelease(params.release);
      if (!release) throw new SaltError("NotFound", `There is no release '${params.release}'.`);
      return release;
    },

    async listWorkflows({ query }) {
      return pageOf(await registry.listWorkflows({ ...query, ...placeOfCursor(query.cursor) }));
    },

    async getWorkflow({ params }) {
      const workflow = await registry.viewWorkflow(params);
      if (!workflow) {
        throw new SaltError("NotFound", `There is no workflow '${params.project}/${params.workflow}'.`, {
          next: "List what is registered with 'salt workflows list'.",
        });
      }
      return workflow;
    },
  };
}
