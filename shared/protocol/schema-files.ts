import { z } from "zod";
import * as agent from "./agent.ts";
import * as api from "./api.ts";
import * as blobs from "./blobs.ts";
import * as common from "./common.ts";
import * as limitViews from "./limit-views.ts";
import * as manifest from "./manifest.ts";
import * as task from "./task.ts";
import * as triggerViews from "./trigger-views.ts";
import * as values from "./values.ts";

interface SchemaFile {
  readonly title: string;
  readonly types: Readonly<Record<string, z.ZodType>>;
}

/** Frames, calls and the like as types of their own, named after what tells them apart: `calls` is `Calls`. */
function variants<Key extends string>(
  key: Key,
  union: { readonly options: readonly z.ZodObject[] },
  suffix = "",
): Record<string, z.ZodType> {
  return Object.fromEntries(
    union.options.map((option) => {
      const value = String((option.shape[key] as z.ZodLiteral).value);
      return [`${value[0]?.toUpperCase()}${value.slice(1)}${suffix}`, option];
    }),
  );
}

/** `runViewSchema` of `api.ts` is `RunView`; one that says its name by `id` has that. */
function named(schemas: Readonly<Record<string, unknown>>): Record<string, z.ZodType> {
  const pairs = Object.entries(schemas).flatMap(([name, schema]) => {
    if (!(schema instanceof z.ZodType)) return [];
    const plain = `${name[0]?.toUpperCase()}${name.slice(1)}`.replace(/Schema$/, "");
    return [[schema.meta()?.id ?? plain, schema] as const];
  });
  // A namespace's own order is not the same everywhere.
  return Object.fromEntries(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
}

const {
  callSchema,
  entrySchema,
  valueSchema,
  failureSchema,
  checkResultSchema,
  retrySchema,
  taskOptionsSchema,
  taskLimitSchema,
} = common;

/** The published files, by their path below `schemas/`, and the types that each defines. */
const files: Readonly<Record<string, SchemaFile>> = {
  "common/names": {
    title: "Names, ids and labels",
    types: {
      RunId: common.runIdSchema,
      TaskId: common.taskIdSchema,
      AgentId: common.agentIdSchema,
      Sha256: common.sha256Schema,
      CallKey: common.callKeySchema,
      Name: common.nameSchema,
      QualifiedName: common.qualifiedNameSchema,
      Platform: common.platformSchema,
      Labels: common.labelsSchema,
    },
  },
  "common/outcomes": {
    title: "Failures and what checks found",
    types: { Failure: failureSchema, CheckResult: checkResultSchema },
  },
  "common/options": {
    title: "Options of task types, which a call may override",
    types: { TaskOptions: taskOptionsSchema, Retry: retrySchema, TaskLimit: taskLimitSchema },
  },
  "common/manifest": { title: "A release as it is registered", types: named(manifest) },
  "values/encoded": {
    title: "The JSON in a value's text",
    types: { EncodedValue: values.encodedValueSchema, ...values.taggedSchemas },
  },
  "agent/values": {
    title: "Values, calls and journal entries between agent and coordinator",
    types: wire(valueSchema, callSchema, entrySchema),
  },
  "agent/reports": {
    title: "What an agent says of attempts",
    types: {
      AttemptName: agent.attemptSchema,
      ...variants("kind", agent.resultSchema, "Result"),
      Result: agent.resultSchema,
      Report: agent.reportSchema,
      LogChunk: agent.logChunkSchema,
    },
  },
  "agent/from_agent": {
    title: "Frames from an agent to a coordinator",
    types: {
      ...variants("t", agent.agentFrameSchema),
      AgentFrame: agent.agentFrameSchema,
      AgentBatch: agent.agentBatchSchema,
    },
  },
  "agent/from_coordinator": {
    title: "Frames from a coordinator to an agent",
    types: {
      Lease: agent.leaseSchema,
      ...variants("t", agent.coordinatorFrameSchema),
      CoordinatorFrame: agent.coordinatorFrameSchema,
      CoordinatorBatch: agent.coordinatorBatchSchema,
    },
  },
  "task/values": {
    title: "Values, calls and journal entries between program and agent",
    types: wire(task.programValueSchema, task.programCallSchema, task.programEntrySchema),
  },
  "task/from_program": {
    title: "Frames from a program to an agent",
    types: {
      Offsets: task.offsetsSchema,
      OutputFile: task.outputFileSchema,
      ...variants("t", task.programFrameSchema),
      ProgramFrame: task.programFrameSchema,
    },
  },
  "task/from_agent": {
    title: "Frames from an agent to a program",
    types: { ...variants("t", task.agentToProgramFrameSchema), AgentToProgramFrame: task.agentToProgramFrameSchema },
  },
  "api/messages": {
    title: "Requests and answers of the HTTP API",
    types: named({ ...api, ...limitViews, ...triggerViews, ...blobs }),
  },
};

function wire(
  value: z.ZodType,
  call: typeof callSchema | typeof task.programCallSchema,
  entry: typeof entrySchema | typeof task.programEntrySchema,
): Record<string, z.ZodType> {
  return {
    Value: value,
    ...variants("kind", call, "Call"),
    Call: call,
    ...variants("e", entry, "Entry"),
    Entry: entry,
  };
}

const dialect = "https://json-schema.org/draft/2020-12/schema";
const comment = "Generated by `npm run protocol` from the zod schemas of shared/protocol; a change here is lost.";

type Json = Readonly<Record<string, unknown>>;

/**
 * The protocol as JSON Schema 2020-12, by file name below `schemas/`: `agent/from_agent.json` and so on. Each defines types
 * in `$defs` and names those of other files by relative `$ref`. They say what may be sent: defaults may be left out.
 * `about` has descriptions by `<file>#<type>`, for types that have none of their own.
 */
export function schemaFiles(about: Readonly<Record<string, string>> = {}): Record<string, Json> {
  const registry = z.registry<{ id?: string; description?: string }>();
  for (const [file, { types }] of Object.entries(files)) {
    for (const [name, schema] of Object.entries(types)) {
      const description = schema.description ?? about[`${file}#${name}`];
      registry.add(schema, { id: `${file}#${name}`, ...(description === undefined ? {} : { description }) });
    }
  }
  const { schemas } = z.toJSONSchema(registry, { io: "input", uri: (id) => id, metadata: registry });
  return Object.fromEntries(
    Object.entries(files).map(([file, { title, types }]) => {
      const definitions = Object.keys(types).map((name) => [name, definition(schemas[`${file}#${name}`] ?? {}, file)]);
      return [`${file}.json`, { $schema: dialect, $comment: comment, title, $defs: Object.fromEntries(definitions) }];
    }),
  );
}

const definition = ({ $schema, $id, ...rest }: Json, file: string): Json => relative(rest, file) as Json;

/** `common/names#Sha256` becomes `../common/names.json#/$defs/Sha256`, and within its own file `#/$defs/Sha256`. */
function relative(schema: unknown, file: string): unknown {
  if (Array.isArray(schema)) return schema.map((each) => relative(each, file));
  if (typeof schema !== "object" || schema === null) return schema;
  return Object.fromEntries(
    Object.entries(schema).map(([key, inner]) => {
      if (key !== "$ref" || typeof inner !== "string") return [key, relative(inner, file)];
      const [target = "", name = ""] = inner.split("#");
      return [key, `${target === file ? "" : pathTo(target, file)}#/$defs/${name}`];
    }),
  );
}

function pathTo(target: string, from: string): string {
  const [folder = "", name = ""] = target.split("/");
  return from.startsWith(`${folder}/`) ? `${name}.json` : `../${target}.json`;
}
