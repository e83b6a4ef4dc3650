import { SaltError } from "#shared/domain/errors.ts";
import { routes } from "#shared/protocol/routes.ts";
import type { ApiApp } from "./handlers.ts";
import { pathPattern } from "./mount-route.ts";
import { problemResponse } from "./problem.ts";

/**
 * Answers requests for a path that is there with a method that it has not (RFC 9110, section 15.5.6). To be called after
 * the routes are mounted, whose handlers then come first.
 */
export function refuseOtherMethods(app: ApiApp): void {
  const byPattern = Map.groupBy(Object.values(routes), (route) => pathPattern(route.path));
  for (const [pattern, group] of byPattern) {
    const methods = group.map(({ method }) => method.toUpperCase());
    const allow = [...methods, ...(methods.includes("GET") ? ["HEAD"] : [])].sort().join(", ");
    app.all(pattern, (context) => {
      const { method, path } = context.req;
      const error = new SaltError("MethodNotAllowed", `There is no ${method} for ${path}: it takes ${allow}.`, {
        next: "GET /v1/openapi.json lists what there is.",
        details: { allow },
      });
      return problemResponse(error, context.get("requestId"), { allow });
    });
  }
}
