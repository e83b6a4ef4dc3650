import { z } from "zod";
import { SaltError } from "#shared/domain/errors.ts";
import { type Description, descriptionSchema } from "#shared/protocol/manifest.ts";
import { Decimal, Duration, FileValue } from "#shared/values/types.ts";
import { sdkVersion, taskProtocol } from "../program/version.ts";
import type { Registry } from "./registry.ts";

/** What `main describe` prints. Throws SaltError `InvalidProject` naming the declaration that is not valid. */
export function describeProject(registry: Registry): Description {
  const description = {
    protocol: taskProtocol,
    sdk: { language: "typescript", version: sdkVersion },
    workflows: [...registry.workflows.values()].map(({ name, description: about, input, output, options }) => ({
      name,
      ...(about === undefined ? {} : { description: about }),
      input: toJsonSchema(`workflow '${name}'`, input, "input"),
      output: toJsonSchema(`workflow '${name}'`, output, "output"),
      ...options,
    })),
    tasks: [...registry.tasks.values()].map(({ name, description: about, input, output, checks, options }) => ({
      name,
      ...(about === undefined ? {} : { description: about }),
      input: toJsonSchema(`task type '${name}'`, input, "input"),
      output: toJsonSchema(`task type '${name}'`, output, "output"),
      checks: checks.map((check) => check.name),
      options,
    })),
  };
  const parsed = descriptionSchema.safeParse(description);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new SaltError("InvalidProject", `Cannot describe the project: ${placeOf(description, issue)}`, {
    next: "Correct the declaration.",
    details: parsed.error.issues,
  });
}

function placeOf(
  description: { workflows: readonly { name: string }[]; tasks: readonly { name: string }[] },
  issue: z.core.$ZodIssue | undefined,
): string {
  if (issue === undefined) return "it is not valid.";
  const [list, index, ...rest] = issue.path;
  const rows = list === "tasks" ? description.tasks : list === "workflows" ? description.workflows : [];
  const name = typeof index === "number" ? rows[index]?.name : undefined;
  const what = name === undefined ? issue.path.join(".") : `${list === "tasks" ? "task type" : "workflow"} '${name}'`;
  return `${what}${rest.length > 0 ? `, ${rest.filter((step) => step !== "options").join(".")}` : ""}: ${issue.message}.`;
}

const tagged = (tag: string, v: object): object => ({
  type: "object",
  properties: { $salt: { const: tag }, v },
  required: ["$salt", "v"],
  additionalProperties: false,
});

/** Types that JSON lacks, in the tagged form in which they travel. */
const taggedForms: Readonly<Record<string, object>> = {
  date: tagged("date", { type: "string", format: "date-time" }),
  bigint: tagged("bigint", { type: "string", pattern: "^(0|-?[1-9][0-9]*)$" }),
  map: tagged("map", { type: "array" }),
  set: tagged("set", { type: "array" }),
};

/** The same of what `z.instanceof` asks for. */
const formsOfClasses: ReadonlyMap<unknown, object> = new Map<unknown, object>([
  [Decimal, tagged("decimal", { type: "string" })],
  [Duration, tagged("duration", { type: "string" })],
  [FileValue, tagged("file", { type: "object", required: ["sha256", "bytes"] })],
  [Uint8Array, tagged("bytes", { type: "string" })],
  [Error, tagged("error", { type: "object" })],
]);

function toJsonSchema(
  what: string,
  schema: z.ZodType | undefined,
  io: "input" | "output",
): Record<string, unknown> | true {
  if (schema === undefined) return true;
  try {
    const { $schema, ...rest } = z.toJSONSchema(schema, {
      io,
      unrepresentable: "any",
      override({ zodSchema, jsonSchema }) {
        const { def, bag } = zodSchema._zod;
        const form = taggedForms[def.type] ?? formsOfClasses.get(bag.Class);
        if (form !== undefined) Object.assign(jsonSchema, form);
      },
    });
    return rest;
  } catch (error) {
    throw new SaltError("InvalidProject", `Cannot describe the ${io} of ${what}: ${(error as Error).message}`, {
      next: "Use a zod schema that has a JSON Schema, or leave it out.",
      cause: error,
    });
  }
}
