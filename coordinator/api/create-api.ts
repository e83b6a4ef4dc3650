import { Hono } from "hono";
import { SaltError } from "#shared/domain/errors.ts";
import { newId } from "#shared/domain/ids.ts";
import { type RouteName, routes } from "#shared/protocol/routes.ts";
import { accessHandlers } from "./access-handlers.ts";
import { blobHandlers } from "./blob-handlers.ts";
import type { ApiApp, ApiDeps, Handlers } from "./handlers.ts";
import { limitHandlers } from "./limit-handlers.ts";
import { mountRoute } from "./mount-route.ts";
import { openApiDocument } from "./openapi.ts";
import { isOurs, problemResponse } from "./problem.ts";
import { refuseOtherMethods } from "./refuse-methods.ts";
import { registryHandlers } from "./registry-handlers.ts";
import { runActionHandlers } from "./run-action-handlers.ts";
import { runHandlers } from "./run-handlers.ts";
import { streamHandlers } from "./stream-handlers.ts";
import { triggerHandlers } from "./trigger-handlers.ts";
import { agentPath } from "./upgrade-agent.ts";

/** The HTTP API, ready to be served: every route of the list in shared/protocol/routes.ts. */
export function createApi(deps: ApiDeps): ApiApp {
  const app: ApiApp = new Hono();
  app.use(async (context, next) => {
    const given = context.req.header("x-request-id") ?? "";
    const requestId = /^[A-Za-z0-9_.-]{1,64}$/.test(given) ? given : newId("req", deps.clock, deps.random);
    context.set("requestId", requestId);
    context.header("x-request-id", requestId);
    context.header("x-content-type-options", "nosniff");
    await next();
  });
  app.notFound((context) => {
    const error = new SaltError("NotFound", `There is nothing at ${context.req.method} ${context.req.path}.`, {
      next: "GET /v1/openapi.json lists what there is.",
    });
    return problemResponse(error, context.get("requestId"));
  });
  app.onError((error, context) => {
    const requestId = context.get("requestId");
    if (isOurs(error)) deps.onError?.(error, requestId);
    return problemResponse(error, requestId);
  });
  const handlers = createHandlers(deps);
  for (const name of Object.keys(routes) as RouteName[]) mountRoute(deps, app, name, handlers[name]);
  app.get(agentPath, () => {
    throw new SaltError("BadRequest", "Cannot open an agent's connection: the request asks for no WebSocket.", {
      next: "Start an agent with 'salt agent'.",
    });
  });
  refuseOtherMethods(app);
  return app;
}

function createHandlers(deps: ApiDeps): Handlers {
  const document = JSON.stringify(openApiDocument(deps.version));
  return {
    health: async () => ({ status: "ok", version: deps.version }),
    openapi: async () => new Response(document, { headers: { "content-type": "application/json" } }),
    ...registryHandlers(deps),
    ...blobHandlers(deps),
    ...runHandlers(deps),
    ...runActionHandlers(deps),
    ...streamHandlers(deps),
    ...limitHandlers(deps),
    ...triggerHandlers(deps),
    ...accessHandlers(deps),
  };
}
