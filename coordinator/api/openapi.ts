import { z } from "zod";
import { problemSchema } from "#shared/protocol/api.ts";
import { type Route, routes } from "#shared/protocol/routes.ts";

type Json = Record<string, unknown>;

/**
 * The API as an OpenAPI 3.1 document, made from the list of routes and their schemas. Schemas with an id become
 * components; OpenAPI 3.1 speaks JSON Schema, draft 2020-12, as zod does.
 */
export function openApiDocument(version: string): Json {
  const components: Json = {};
  const paths: Record<string, Json> = {};
  const problem = schemaOf(problemSchema, "output", components);
  for (const [name, route] of Object.entries<Route>(routes)) {
    paths[route.path] = { ...paths[route.path], [route.method]: operationOf(name, route, components, problem) };
  }
  return {
    openapi: "3.1.0",
    info: { title: "Salt", version, description: "Workflows over a fleet of unlike machines." },
    servers: [{ url: "/" }],
    security: [{ bearer: [] }],
    paths,
    components: { schemas: components, securitySchemes: { bearer: { type: "http", scheme: "bearer" } } },
  };
}

function operationOf(name: string, route: Route, components: Json, problem: Json): Json {
  const params = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, param]) => ({
    name: param,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
  const content = route.answer
    ? { "application/json": { schema: schemaOf(route.answer, "output", components) } }
    : route.media && { [route.media]: {} };
  return {
    operationId: name,
    summary: route.summary,
    description:
      route.role === null
        ? "Takes no token."
        : `Takes a token of the role ${route.role}${route.agents ? " or agent, or" : " or"} above.`,
    ...(route.role === null ? { security: [] } : {}),
    parameters: [...params, ...queryOf(route), ...headersOf(route)],
    ...bodyOf(route, components),
    responses: {
      [route.status]: { description: "Done", ...(content ? { content } : {}) },
      ...(route.repeatable ? { 200: { description: "It was there already", ...(content ? { content } : {}) } } : {}),
      default: { description: "A problem", content: { "application/problem+json": { schema: problem } } },
    },
  };
}

function headersOf(route: Route): Json[] {
  const names = [
    ...(route.idempotent ? ["Idempotency-Key"] : []),
    ...(route.media === "text/event-stream" ? ["Last-Event-ID"] : []),
  ];
  return names.map((name) => ({ name, in: "header", required: false, schema: { type: "string" } }));
}

function bodyOf(route: Route, components: Json): Json {
  if (route.method === "put") return { requestBody: { required: true, content: { "application/octet-stream": {} } } };
  if (!route.body) return {};
  const required = !route.body.safeParse({}).success;
  return {
    requestBody: {
      ...(required ? { required } : {}),
      content: { "application/json": { schema: schemaOf(route.body, "input", components) } },
    },
  };
}

function queryOf(route: Route): Json[] {
  if (!route.query) return [];
  const { properties = {} } = z.toJSONSchema(route.query, { io: "output" });
  const shape = route.query instanceof z.ZodObject ? route.query.shape : {};
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: "query",
    required:
      !(shape[name] instanceof z.ZodType && shape[name].safeParse(undefined).success) && !isExactOptional(shape[name]),
    schema,
  }));
}

const isExactOptional = (schema: unknown): boolean => schema instanceof z.ZodType && schema._zod.optin === "optional";

/** The schema, with every part that has an id moved to the components and referred to there. */
function schemaOf(schema: z.ZodType, io: "input" | "output", components: Json): Json {
  const made = z.toJSONSchema(schema, { io, unrepresentable: "any" }) as Json;
  const { $schema: _, $defs, ...rest } = made;
  for (const [id, definition] of Object.entries(($defs ?? {}) as Json)) components[id] ??= referring(definition);
  const root = referring(rest) as Json;
  if (typeof rest.id !== "string") return root;
  components[rest.id] ??= root;
  return { $ref: `#/components/schemas/${rest.id}` };
}

function referring(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(referring);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).filter(([name, member]) => !(name === "id" && typeof member === "string"));
  return Object.fromEntries(
    members.map(([name, member]) =>
      name === "$ref" && typeof member === "string"
        ? [name, member.replace("#/$defs/", "#/components/schemas/")]
        : [name, referring(member)],
    ),
  );
}
