import { z } from "zod";
import { limits } from "../domain/limits.ts";
import { nameSchema, platformSchema, pythonRequiresSchema, sha256Schema, taskOptionsSchema } from "./common.ts";

/** A JSON Schema (draft 2020-12), or true for "anything". */
const jsonSchema = z.union([z.record(z.string(), z.unknown()), z.literal(true)]);

export const taskTypeSchema = z.object({
  name: nameSchema,
  description: z.string().max(1_000).exactOptional(),
  input: jsonSchema,
  output: jsonSchema,
  checks: z.array(nameSchema).max(100),
  options: taskOptionsSchema,
});
export type TaskType = z.infer<typeof taskTypeSchema>;

export const workflowTypeSchema = z.object({
  name: nameSchema,
  description: z.string().max(1_000).exactOptional(),
  input: jsonSchema,
  output: jsonSchema,
  /** Longest time from opened to ended. Default: none. */
  runTimeoutMs: z.int().min(1).exactOptional(),
  /** Its runs share no process with other runs. Default false. */
  isolate: z.boolean().exactOptional(),
  pool: nameSchema.exactOptional(),
  labels: z.record(z.string(), z.string()).exactOptional(),
});
export type WorkflowType = z.infer<typeof workflowTypeSchema>;

/** What `main describe` prints: one JSON object on stdout. */
export const descriptionSchema = z.object({
  protocol: z.int().min(1),
  sdk: z.object({ language: z.string(), version: z.string() }),
  workflows: z.array(workflowTypeSchema).max(1_000),
  tasks: z.array(taskTypeSchema).max(1_000),
});
export type Description = z.infer<typeof descriptionSchema>;

const triggerHead = {
  name: nameSchema,
  workflow: nameSchema,
  /** The run's input, any JSON; a webhook's body takes its place. */
  input: z.unknown().exactOptional(),
};
export const triggerSchema = z.discriminatedUnion("kind", [
  z.object({ ...triggerHead, kind: z.literal("cron"), cron: z.string().max(200), timezone: z.string().max(100) }),
  z.object({ ...triggerHead, kind: z.literal("webhook") }),
]);
export type Trigger = z.infer<typeof triggerSchema>;

/** Which Pythons a PEX works with, and the ABI of its native wheels where it has such. */
export const pythonNeedSchema = z.object({
  requires: pythonRequiresSchema,
  abi: z.string().max(20).exactOptional(),
});
export type PythonNeed = z.infer<typeof pythonNeedSchema>;

/** A release as it is registered: the description, what salt.yaml adds, and one binary per platform. */
export const manifestSchema = z.object({
  salt: z.literal(1),
  project: nameSchema,
  description: descriptionSchema,
  triggers: z.array(triggerSchema).max(100),
  binaries: z.partialRecord(
    platformSchema,
    z.object({
      sha256: sha256Schema,
      bytes: z.int().min(1).max(limits.fileBytesMax),
      /** It is a PEX, which a Python of the machine's executes. */
      python: pythonNeedSchema.exactOptional(),
    }),
  ),
});
export type Manifest = z.infer<typeof manifestSchema>;
