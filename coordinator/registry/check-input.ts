import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import { LRUCache } from "lru-cache";
import { SaltError } from "#shared/domain/errors.ts";
import type { WorkflowType } from "#shared/protocol/manifest.ts";
import type { ReleaseRecord } from "../records.ts";
import { runWithin } from "./watchdog.ts";

/**
 * Validation by users' own schemas (JSON Schema, draft 2020-12). A schema is compiled once a release; both compiling
 * and validating are stopped after a bound, since a schema's patterns may take time without end on the wrong text.
 */
const compileWithinMs = 2_000;
const validateWithinMs = 200;
/** What a schema needs to take longer than in proportion to the value. A watch costs more than most validations do. */
const slowKeywords = /"(pattern|patternProperties|uniqueItems|\$ref|\$dynamicRef)":/;
/** A longer schema may have lists that each part of a value is held against. */
const unwatchedCharsMax = 2_000;
const cachedSchemasMax = 500;
const issuesMax = 20;

export interface SchemaIssue {
  /** JSON Pointer (RFC 6901) into the value; empty for the value itself. */
  readonly path: string;
  readonly message: string;
}

type Schema = WorkflowType["input"];
type Compiled = { readonly validate: ValidateFunction; readonly isWatched: boolean } | null;

/** Compiled schemas by release and workflow. */
export type SchemaCache = LRUCache<string, { readonly compiled: Compiled }>;
export const createSchemaCache = (): SchemaCache => new LRUCache({ max: cachedSchemasMax });

/** Null for `true`, which everything satisfies. `InvalidManifest` when it is not a schema. */
export function compileSchema(schema: Schema, what: string): Compiled {
  if (schema === true) return null;
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false, logger: false });
  const compiled = runWithin(compileWithinMs, () => {
    try {
      return ajv.compile(schema);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  });
  if (typeof compiled === "function" && !("$async" in compiled && compiled.$async)) {
    const text = JSON.stringify(schema);
    return { validate: compiled, isWatched: text.length > unwatchedCharsMax || slowKeywords.test(text) };
  }
  const why = typeof compiled === "string" ? compiled : "it is asynchronous";
  throw new SaltError("InvalidManifest", `Cannot use the schema of ${what}: ${why}.`, {
    next: "Use JSON Schema, draft 2020-12, that refers to nothing outside of itself.",
  });
}

export function findIssues(compiled: Compiled, value: unknown): readonly SchemaIssue[] {
  if (compiled === null) return [];
  const { validate, isWatched } = compiled;
  const valid = isWatched ? runWithin(validateWithinMs, () => validate(value)) : validate(value);
  if (valid === true) return [];
  if (valid === "stopped") {
    return [{ path: "", message: `could not be validated within ${validateWithinMs} ms (a pattern of the schema)` }];
  }
  return (validate.errors ?? []).slice(0, issuesMax).map(issueOf);
}

function issueOf(error: ErrorObject): SchemaIssue {
  const { instancePath: path, keyword, params, message = "is not valid" } = error;
  if (keyword === "additionalProperties") {
    return { path, message: `must not have the property '${String(params.additionalProperty)}'` };
  }
  if (keyword === "enum")
    return { path, message: `must be one of ${JSON.stringify(params.allowedValues).slice(0, 500)}` };
  if (keyword === "const") return { path, message: `must be ${JSON.stringify(params.allowedValue).slice(0, 500)}` };
  return { path, message };
}

/** What may stand in for an input that was not given, the first that fits: the schema's default, null, and {}. */
export function standIns(schema: Schema): readonly unknown[] {
  const own = schema !== true && Object.hasOwn(schema, "default") ? [schema.default] : [];
  return [...own, null, {}];
}

/**
 * The input as it is to be stored: what was given, or, when nothing was, the first of `standIns` that fits.
 * `InvalidInput` names each path that the workflow's schema refuses; `UnknownWorkflow` when the release has none such.
 */
export function checkInput(
  deps: { readonly schemaCache: SchemaCache },
  request: { readonly release: ReleaseRecord; readonly workflow: string; readonly input: unknown },
): unknown {
  const { release, workflow } = request;
  const { project } = release.manifest;
  const type = release.manifest.description.workflows.find(({ name }) => name === workflow);
  if (!type) throw unknownWorkflow(release, workflow);
  const key = `${release.id}/${workflow}`;
  const compiled =
    deps.schemaCache.get(key)?.compiled ?? compileSchema(type.input, `the input of '${project}/${workflow}'`);
  deps.schemaCache.set(key, { compiled });
  const given = request.input !== undefined;
  if (!given) {
    const fitting = standIns(type.input).find((input) => findIssues(compiled, input).length === 0);
    if (fitting !== undefined) return fitting;
  }
  const issues = findIssues(compiled, given ? request.input : {});
  if (issues.length === 0) return request.input;
  const where = firstIssue(issues);
  throw new SaltError(
    "InvalidInput",
    `Cannot open a run of '${project}/${workflow}': ${given ? "input is not valid, " : "it needs an input, "}${where}.`,
    {
      next: `See the input's schema with 'salt workflows get ${project}/${workflow}'.`,
      details: { issues },
    },
  );
}

/** The first issue as the end of a sentence. */
export function firstIssue([first]: readonly SchemaIssue[]): string {
  return first?.path ? `at '${first.path}' it ${first.message}` : `it ${first?.message}`;
}

export function unknownWorkflow(release: ReleaseRecord, workflow: string): SaltError {
  const names = release.manifest.description.workflows.map(({ name }) => name);
  const { project } = release.manifest;
  return new SaltError("UnknownWorkflow", `Project '${project}' has no workflow '${workflow}'.`, {
    next: `It has: ${names.slice(0, 10).join(", ") || "none"}.`,
  });
}
