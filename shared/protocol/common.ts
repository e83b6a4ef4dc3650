import { z } from "zod";
import type { Failure } from "../domain/errors.ts";
import type { AgentId, CallKey, RunId, Sha256, TaskId } from "../domain/ids.ts";
import { limits } from "../domain/limits.ts";
import { isPythonSpecifier } from "../domain/python-versions.ts";

/** Schemas that the protocols share. Branded strings are checked by form here and trusted inside. */

const branded = <T extends string>(schema: z.ZodString) => schema as unknown as z.ZodType<T, string>;

export const runIdSchema = branded<RunId>(z.string().regex(/^run_[0-9a-z]{28}$/));
export const taskIdSchema = branded<TaskId>(
  z
    .string()
    .regex(/^run_[0-9a-z]{28}\/./)
    .max(33 + limits.callKeyCharsMax),
);
export const agentIdSchema = branded<AgentId>(z.string().regex(/^agt_[0-9a-z]{26}$/));
export const sha256Schema = branded<Sha256>(z.string().regex(/^[0-9a-f]{64}$/));

/** A call's key: printable, not beginning with `@` unless Salt made it. */
export const callKeySchema = branded<CallKey>(
  z
    .string()
    .min(1)
    .max(limits.callKeyCharsMax)
    .regex(/^[^\p{Cc}]+$/u, "must be printable"),
);

/** A project, workflow, task type, trigger, pool or signal name. */
export const nameSchema = z
  .string()
  .max(limits.nameCharsMax)
  .regex(/^[A-Za-z][A-Za-z0-9_.-]*$/, "must begin with a letter and hold only letters, digits, '_', '.' and '-'");

/** A task type or workflow, of the caller's project (`score`) or of another (`fraud/score`). */
export const qualifiedNameSchema = z
  .string()
  .max(2 * limits.nameCharsMax + 1)
  .regex(/^[A-Za-z][A-Za-z0-9_.-]*(\/[A-Za-z][A-Za-z0-9_.-]*)?$/);

export const platformSchema = z.enum([
  "linux-x64",
  "linux-arm64",
  "darwin-x64",
  "darwin-arm64",
  "win32-x64",
  "win32-arm64",
]);
export type Platform = z.infer<typeof platformSchema>;

/** Versions of CPython, such as `>=3.11,<3.14`. */
export const pythonRequiresSchema = z.string().max(200).refine(isPythonSpecifier, "must be as in '>=3.11,<3.14'");
/** One version of CPython, such as `3.11.7`. */
export const pythonVersionSchema = z
  .string()
  .max(20)
  .regex(/^\d+\.\d+\.\d+$/);

export const labelsSchema = z
  .record(z.string().regex(/^[A-Za-z0-9_./-]{1,63}$/), z.string().max(255))
  .refine((labels) => Object.keys(labels).length <= limits.labelsMax, `at most ${limits.labelsMax} labels`);

/**
 * An encoded value between agent and coordinator: its JSON text (opaque to both), or the blob that holds that text.
 * Inline up to `limits.inlineBytesMax`.
 */
export const valueSchema = z.union([
  z.object({ json: z.string().max(limits.inlineBytesMax) }),
  z.object({
    blob: sha256Schema,
    bytes: z.int().min(0).max(limits.valueBytesMax),
    /** From agents: the files that the text names, so that these are kept for as long as it is. */
    files: z.array(sha256Schema).max(limits.filesPerValueMax).exactOptional(),
  }),
]);
export type Value = z.infer<typeof valueSchema>;

export const failureSchema: z.ZodType<Failure> = z.object({
  type: z.string().max(200),
  message: z.string().max(limits.messageCharsMax),
  retryable: z.boolean(),
  stack: z.string().max(limits.stackCharsMax).exactOptional(),
  cause: z.lazy(() => failureSchema).exactOptional(),
  details: z.unknown().exactOptional(),
});

export const checkResultSchema = z.object({
  name: nameSchema,
  result: z.enum(["pass", "warn", "fail"]),
  message: z.string().max(limits.messageCharsMax).exactOptional(),
  details: z.unknown().exactOptional(),
});
export type CheckResult = z.infer<typeof checkResultSchema>;

export const retrySchema = z.object({
  /** Attempts in all, the first included. */
  attempts: z.int().min(1).max(limits.retryAttemptsMax),
  /** Upper bound of the first pause; the pause is drawn evenly from zero to the bound (full jitter). */
  backoffMs: z
    .int()
    .min(0)
    .max(24 * 3600_000),
  /** Growth of the bound from one pause to the next. */
  factor: z.number().min(1).max(100),
  backoffMaxMs: z
    .int()
    .min(0)
    .max(24 * 3600_000),
});
export type Retry = z.infer<typeof retrySchema>;

/**
 * At most `max` tasks under the limit of this name are ready or running at once, over all runs of the project. A task
 * takes its place only while fewer than its own `max` have one.
 */
export const taskLimitSchema = z.object({ name: nameSchema, max: z.int().min(1).max(limits.slotsPerLimitMax) });

/** What a task type declares and a call may override. Durations in milliseconds. */
export const taskOptionsSchema = z.object({
  retry: retrySchema.partial().exactOptional(),
  /** Longest time of one attempt. Default 24 h. */
  attemptTimeoutMs: z
    .int()
    .min(1)
    .max(limits.attemptTimeoutMs * 30)
    .exactOptional(),
  /** Longest time between ready and leased. Default: none. */
  queueTimeoutMs: z.int().min(1).exactOptional(),
  /** Higher goes first; one step outweighs 60 s of waiting. Default 0. */
  priority: z.int().min(-100).max(100).exactOptional(),
  process: z.enum(["warm", "fresh"]).exactOptional(),
  pool: nameSchema.exactOptional(),
  /** Labels that an agent must carry with exactly these values. */
  labels: labelsSchema.exactOptional(),
  limit: taskLimitSchema.exactOptional(),
  /**
   * What an attempt does whose agent cannot renew its lease: `continue`, and its late report counts while nobody else has
   * the task; or `stop`, so that it never overlaps with the attempt after it. Default `continue`.
   */
  onLeaseLost: z.enum(["continue", "stop"]).exactOptional(),
});
export type TaskOptions = z.infer<typeof taskOptionsSchema>;

/**
 * The refs within a call's input, by key: up to `limits.refsInlineMax` of them as they are, more as a value that holds
 * the JSON array of their keys.
 */
const refsOf = <V extends z.ZodType>(value: V) => ({
  refs: z.array(callKeySchema).max(limits.refsInlineMax).exactOptional(),
  manyRefs: value.exactOptional(),
});

/** One call that a workflow makes. `digest` is the SHA-256 of the encoded arguments, refs by key. */
const callHead = { key: callKeySchema, digest: sha256Schema };
export const callSchemaOf = <V extends z.ZodType>(value: V) =>
  z.discriminatedUnion("kind", [
    z.object({
      ...callHead,
      kind: z.literal("task"),
      name: qualifiedNameSchema,
      input: value,
      ...refsOf(value),
      options: taskOptionsSchema.exactOptional(),
      /** The output is wanted by the workflow itself, so it rides with the settlement. */
      awaited: z.boolean().exactOptional(),
      detached: z.boolean().exactOptional(),
      shielded: z.boolean().exactOptional(),
    }),
    z.object({
      ...callHead,
      kind: z.literal("workflow"),
      name: qualifiedNameSchema,
      input: value,
      ...refsOf(value),
      awaited: z.boolean().exactOptional(),
      detached: z.boolean().exactOptional(),
      shielded: z.boolean().exactOptional(),
    }),
    z.object({
      ...callHead,
      kind: z.literal("sleep"),
      forMs: z.number().min(0).exactOptional(),
      untilMs: z.number().exactOptional(),
      shielded: z.boolean().exactOptional(),
    }),
    z.object({
      ...callHead,
      kind: z.literal("signal"),
      name: nameSchema,
      timeoutMs: z.number().min(0).exactOptional(),
      shielded: z.boolean().exactOptional(),
    }),
    z.object({
      ...callHead,
      kind: z.literal("event"),
      name: nameSchema,
      /** Fields of the event's value that must equal these, by JSON pointer. */
      match: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).exactOptional(),
      timeoutMs: z.number().min(0).exactOptional(),
      shielded: z.boolean().exactOptional(),
    }),
  ]);

/**
 * One journal entry as a program is given it. `p` is its position in the run's journal, counted from 1; `at` the
 * engine's time in milliseconds. A settled entry's value is absent while nobody awaits it. Programs pass over entries
 * whose `e` they do not know.
 */
const entryHead = { p: z.int().min(1), at: z.number() };
export const entrySchemaOf = <V extends z.ZodType>(value: V) =>
  z.discriminatedUnion("e", [
    z.object({
      ...entryHead,
      e: z.literal("called"),
      key: callKeySchema,
      kind: z.enum(["task", "workflow", "sleep", "signal", "event"]),
      name: z.string(),
      digest: sha256Schema,
    }),
    z.object({
      ...entryHead,
      e: z.literal("settled"),
      key: callKeySchema,
      outcome: z.enum(["succeeded", "failed", "cancelled", "timedOut"]),
      value: value.exactOptional(),
      failure: failureSchema.exactOptional(),
    }),
    z.object({ ...entryHead, e: z.literal("signal"), id: z.string(), name: z.string(), value }),
    z.object({ ...entryHead, e: z.literal("cancel"), reason: z.string() }),
    z.object({ ...entryHead, e: z.literal("note"), kind: z.string(), key: z.string().exactOptional() }),
  ]);

export const callSchema = callSchemaOf(valueSchema);
export type Call = z.infer<typeof callSchema>;
export const entrySchema = entrySchemaOf(valueSchema);
export type Entry = z.infer<typeof entrySchema>;
