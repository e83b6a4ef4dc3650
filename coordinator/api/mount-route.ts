import type { Context } from "hono";
import { z } from "zod";
import { type ErrorCode, SaltError } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Role } from "#shared/protocol/api.ts";
import { callKeySchema, nameSchema, sha256Schema } from "#shared/protocol/common.ts";
import { type Route, type RouteName, routes } from "#shared/protocol/routes.ts";
import type { Principal } from "../access/authenticate.ts";
import { parseJsonText } from "../state/json-text.ts";
import { type ApiApp, type ApiDeps, Reply } from "./handlers.ts";
import { readBody } from "./read-body.ts";

/** What is handed to it is what `routes` says of its route; that each has its right handler is seen in `Handlers`. */
type AnyHandler = (request: never) => Promise<unknown>;

/**
 * One route of the list: who may call it, and of what form its parts are, is checked here, after the router has
 * resolved which route it is, so that no spelling of a path leads around a check.
 */
export function mountRoute(deps: ApiDeps, app: ApiApp, name: RouteName, handler: AnyHandler): void {
  const route: Route = routes[name];
  app.on(route.method.toUpperCase(), pathPattern(route.path), async (context) => {
    const principal = await admit(deps, route, context);
    const params = readParams(route, context);
    const query = route.query ? readQuery(route.query, context) : undefined;
    const { body, texts } = await readJson(deps, name, route, context);
    const actor = principal?.actor ?? "anybody";
    const { requestId } = context.var;
    const request = { params, query, body, texts, principal, actor, raw: context.req.raw, requestId };
    // The parts were just parsed by the schemas that the handler's types are made from.
    const answer = await handler(request as never);
    return respond(route, context, answer);
  });
}

/** A route's path as the router writes it. */
export const pathPattern = (path: string): string => path.replaceAll(/\{(\w+)\}/g, ":$1");

const rank: Readonly<Record<Role, number>> = { agent: -1, viewer: 0, operator: 1, deployer: 2, admin: 3 };

async function admit(deps: ApiDeps, route: Route, context: Context): Promise<Principal | null> {
  if (route.role === null) return null;
  const principal = await deps.access.authenticate(context.req.header("authorization"));
  const allowed = principal.role === "agent" ? route.agents === true : rank[principal.role] >= rank[route.role];
  if (allowed) return principal;
  throw new SaltError(
    "NotAllowed",
    `Cannot do this with a token of the role '${principal.role}': it takes '${route.role}'.`,
    {
      next: `Use a token of the role '${route.role}' or above.`,
    },
  );
}

const paramSchemas: Readonly<Record<string, z.ZodType>> = {
  project: nameSchema,
  workflow: nameSchema,
  trigger: nameSchema,
  name: nameSchema,
  sha256: sha256Schema,
  key: callKeySchema,
  run: z.string().regex(/^run_[0-9a-z]{6,28}$/),
  release: z.string().regex(/^rel_[0-9a-f]{26}$/),
  agent: z.string().regex(/^agt_[0-9a-z]{6,26}$/),
  token: z.string().regex(/^tok_[0-9a-f]{26}$/),
};

/** What cannot be an id is an unknown one. */
function readParams(route: Route, context: Context): Readonly<Record<string, string>> {
  const params: Record<string, string> = {};
  for (const [, param] of route.path.matchAll(/\{(\w+)\}/g)) {
    if (param === undefined) continue;
    const value = context.req.param(param) ?? "";
    if (!paramSchemas[param]?.safeParse(value).success) {
      throw notOne(param, value);
    }
    params[param] = value;
  }
  return params;
}

const whatParams: Readonly<Record<string, string>> = {
  sha256: "SHA-256 in lower-case hexadecimal digits",
  key: "call's key",
};

function notOne(param: string, given: string): SaltError {
  const value = `'${given.slice(0, 100)}'`;
  if (param === "run") {
    return new SaltError("NotFound", `${value} is no run's id.`, {
      next: "Give 'run_' and at least 6 of the characters that come after it.",
    });
  }
  const idOf = ["release", "agent", "token"].includes(param) ? `${param}'s id` : null;
  return new SaltError("NotFound", `${value} is no ${idOf ?? whatParams[param] ?? param}.`);
}

function readQuery(schema: z.ZodType, context: Context): unknown {
  const known = schema instanceof z.ZodObject ? Object.keys(schema.shape) : null;
  const given: Record<string, string> = Object.create(null);
  for (const [name, value] of new URL(context.req.url).searchParams) {
    if (name in given)
      throw new SaltError("BadRequest", `Cannot read the query: '${name.slice(0, 100)}' is given twice.`);
    // A filter that is misspelt would let everything through.
    if (known !== null && !known.includes(name)) {
      throw new SaltError("BadRequest", `Cannot read the query: there is no '${name.slice(0, 100)}' in it.`, {
        next: `It may have ${known.join(", ")}.`,
      });
    }
    given[name] = value;
  }
  return parse(schema, given, "query", "BadRequest");
}

async function readJson(deps: ApiDeps, name: RouteName, route: Route, context: Context) {
  const none: ReadonlyMap<string, string> = new Map();
  if (route.body === null) return { body: undefined, texts: none };
  const bytesMax = name === "registerRelease" ? 2 * limits.manifestBytesMax : limits.requestBytesMax;
  const bytes = await readBody(deps, context.req.raw, bytesMax);
  const json = bytes.length === 0 ? { value: {}, members: none } : parseJsonText(bytes);
  const code = name === "registerRelease" ? "InvalidManifest" : "BadRequest";
  return { body: parse(route.body, json.value, "body", code), texts: json.members };
}

function parse(schema: z.ZodType, value: unknown, what: string, code: ErrorCode): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.slice(0, 20).map(({ path, message }) => ({
    path: path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join(""),
    message,
  }));
  const [first] = issues;
  const where = first?.path ? ` at '${first.path}'` : "";
  throw new SaltError(code, `Cannot accept the request's ${what}:${where} ${first?.message}.`, { details: { issues } });
}

/** The router gives HEAD to the handlers of GET: their answer, without what would be read of it. */
async function respond(route: Route, context: Context, answer: unknown): Promise<Response> {
  const isHead = context.req.raw.method === "HEAD";
  if (answer instanceof Response) {
    // A stream that nobody reads would be kept up for nobody.
    if (isHead) await answer.body?.cancel();
    return isHead ? new Response(null, answer) : answer;
  }
  const reply = answer instanceof Reply ? answer : new Reply(answer);
  for (const [name, value] of Object.entries(reply.headers)) context.header(name, value);
  context.header("cache-control", "no-store");
  context.header("content-type", "application/json");
  const text = JSON.stringify(reply.content);
  const status = (reply.status ?? route.status) as 200;
  if (!isHead) return context.body(text, status);
  context.header("content-length", String(Buffer.byteLength(text)));
  return context.body(null, status);
}
