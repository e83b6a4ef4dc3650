import { z } from "zod";
import { limits } from "../domain/limits.ts";
import { callKeySchema, checkResultSchema, nameSchema, runIdSchema, sha256Schema, valueSchema } from "./common.ts";
import { manifestSchema } from "./manifest.ts";

/**
 * What travels over the HTTP API: every request and answer. `routes.ts` beside it says which belongs to which path.
 * Times are milliseconds since the Unix epoch on the engine's clock; sizes are bytes.
 */

/** Each role may do what the one before it may. `agent` stands apart: the agent socket and blobs, nothing else. */
export const roleSchema = z.enum(["viewer", "operator", "deployer", "admin", "agent"]);
export type Role = z.infer<typeof roleSchema>;

const timeMs = z.number();
const anyJson = z.unknown();

/** How an attempt, and so perhaps its run, failed. */
export const failureViewSchema = z
  .object({
    type: z.string(),
    message: z.string(),
    retryable: z.boolean(),
    stack: z.string().exactOptional(),
    get cause() {
      return failureViewSchema.exactOptional();
    },
    details: anyJson.exactOptional(),
  })
  .meta({ id: "Failure" });

/** RFC 9457. `type` is relative to the coordinator: a page about the code. */
export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    /** One of the closed list of error codes. */
    code: z.string(),
    /** What to do, as a sentence or a command. */
    next: z.string().exactOptional(),
    details: anyJson.exactOptional(),
    requestId: z.string(),
  })
  .meta({ id: "Problem" });
export type Problem = z.infer<typeof problemSchema>;

/** A page of rows; `cursor` asks for the next one, null on the last. Pages may hold fewer rows than asked for. */
export const pageOf = <Row extends z.ZodType>(row: Row) =>
  z.object({ rows: z.array(row), cursor: z.string().nullable() });

const limit = z.coerce.number().int().min(1).max(limits.pageRowsMax);
const cursor = z.string().max(2_000);
export const pageQuerySchema = z.object({ limit: limit.default(50), cursor: cursor.exactOptional() });

export const healthSchema = z.object({ status: z.literal("ok"), version: z.string() });

// Registry

export const registerReleaseSchema = z.strictObject({ manifest: manifestSchema }).meta({ id: "RegisterRelease" });
export const registeredTriggerSchema = z.object({
  name: z.string(),
  kind: z.enum(["cron", "webhook"]),
  /** Where a webhook is to be sent, as a path of the coordinator. */
  url: z.string().exactOptional(),
  /** The webhook's signing secret. Only in the answer to the registration that made it: it is not shown again. */
  secret: z.string().exactOptional(),
});
export type RegisteredTrigger = z.infer<typeof registeredTriggerSchema>;
export const registeredReleaseSchema = z
  .object({
    release: z.string(),
    project: z.string(),
    /** False when the same content was registered before. */
    created: z.boolean(),
    triggers: z.array(registeredTriggerSchema),
  })
  .meta({ id: "RegisteredRelease" });
export type RegisteredRelease = z.infer<typeof registeredReleaseSchema>;

export const releaseRowSchema = z
  .object({
    id: z.string(),
    project: z.string(),
    createdAtMs: timeMs,
    createdBy: z.string(),
    /** Whether new runs of the project use it. */
    current: z.boolean(),
    platforms: z.array(z.string()),
    workflows: z.array(z.string()),
  })
  .meta({ id: "ReleaseRow" });
export type ReleaseRow = z.infer<typeof releaseRowSchema>;
export const releasesPageSchema = pageOf(releaseRowSchema);
export const releasesQuerySchema = pageQuerySchema.extend({ project: nameSchema.exactOptional() });
export const releaseViewSchema = z
  .object({
    id: z.string(),
    createdAtMs: timeMs,
    createdBy: z.string(),
    current: z.boolean(),
    manifest: manifestSchema,
  })
  .meta({ id: "Release" });
export type ReleaseView = z.infer<typeof releaseViewSchema>;

export const workflowRowSchema = z
  .object({
    project: z.string(),
    name: z.string(),
    release: z.string(),
    description: z.string().exactOptional(),
    registeredAtMs: timeMs,
  })
  .meta({ id: "WorkflowRow" });
export type WorkflowRow = z.infer<typeof workflowRowSchema>;
export const workflowsPageSchema = pageOf(workflowRowSchema);
export const workflowsQuerySchema = pageQuerySchema.extend({ project: nameSchema.exactOptional() });

const jsonSchema = z.union([z.record(z.string(), z.unknown()), z.literal(true)]);
export const workflowViewSchema = workflowRowSchema
  .extend({
    input: jsonSchema,
    output: jsonSchema,
    runTimeoutMs: z.number().exactOptional(),
    tasks: z.array(z.string()),
    triggers: z.array(z.string()),
  })
  .meta({ id: "Workflow" });
export type WorkflowView = z.infer<typeof workflowViewSchema>;

// Runs

export const openRunSchema = z
  .strictObject({
    project: nameSchema,
    workflow: nameSchema,
    /** Any JSON that the workflow's input schema allows. Without it: null, or {} where the schema wants an object. */
    input: anyJson.exactOptional(),
    /** Higher goes first; one step outweighs 60 s of waiting. Default 0. */
    priority: z.int().min(-100).max(100).exactOptional(),
  })
  .meta({ id: "OpenRun" });
export type OpenRunRequest = z.infer<typeof openRunSchema>;

export const runStatusSchema = z.enum([
  "queued",
  "running",
  "parked",
  "cancelling",
  "succeeded",
  "failed",
  "cancelled",
  "restarted",
]);
export const taskStatusSchema = z.enum([
  "waiting",
  "ready",
  "delayed",
  "parked",
  "running",
  "succeeded",
  "failed",
  "cancelled",
]);
/** Calls that the run has made, and how many of them ended how. What is left is open. */
const countsSchema = z.object({ calls: z.int(), succeeded: z.int(), failed: z.int(), cancelled: z.int() });

export const runViewSchema = z
  .object({
    id: runIdSchema,
    project: z.string(),
    workflow: z.string(),
    release: z.string(),
    status: runStatusSchema,
    trigger: z.object({ kind: z.string(), name: z.string().nullable(), by: z.string() }),
    priority: z.int(),
    createdAtMs: timeMs,
    endedAtMs: timeMs.nullable(),
    input: valueSchema,
    output: valueSchema.nullable(),
    failure: failureViewSchema.nullable(),
    parent: z.object({ run: runIdSchema, key: callKeySchema }).nullable(),
    cancel: z.object({ reason: z.string(), by: z.string(), atMs: timeMs }).nullable(),
    next: runIdSchema.nullable(),
    previous: runIdSchema.nullable(),
    counts: countsSchema,
    /** Checks of its tasks that gave "warn". */
    warnings: z.int(),
  })
  .meta({ id: "Run" });
export type RunView = z.infer<typeof runViewSchema>;
export const runsPageSchema = pageOf(runViewSchema);
export const runsQuerySchema = pageQuerySchema.extend({
  status: runStatusSchema.exactOptional(),
  project: nameSchema.exactOptional(),
  workflow: nameSchema.exactOptional(),
});

export const attemptViewSchema = z
  .object({
    attempt: z.int(),
    agent: z.string(),
    agentName: z.string().nullable(),
    outcome: z.enum(["succeeded", "failed", "cancelled", "lost", "expired"]),
    ranMs: z.number(),
    endedAtMs: timeMs,
    failure: failureViewSchema.nullable(),
  })
  .meta({ id: "Attempt" });

/** How far an attempt says that it is. It is not durable: after a restart of the coordinator, none until it says more. */
export const progressViewSchema = z
  .object({ fraction: z.number().min(0).max(1).nullable(), message: z.string().nullable(), atMs: timeMs })
  .meta({ id: "Progress" });
export type ProgressView = z.infer<typeof progressViewSchema>;

export const taskViewSchema = z
  .object({
    key: callKeySchema,
    /** `workflow` is the run's own workflow task, with the key `@workflow`; `child` a workflow that was called. */
    kind: z.enum(["task", "workflow", "child", "sleep", "signal", "event"]),
    name: z.string(),
    project: z.string(),
    release: z.string(),
    status: taskStatusSchema,
    /** For people: why it does not run, when it is ready, delayed, or waits for refs. */
    waits: z.string().nullable(),
    /** The attempt under way, or the last. 0: none yet. */
    attempt: z.int(),
    agent: z.string().nullable(),
    /** Null too when the agent is forgotten. */
    agentName: z.string().nullable(),
    createdAtMs: timeMs,
    /** When it went, or is to go, into its queue. */
    readyAtMs: timeMs.nullable(),
    /** When the last attempt that has ended began. */
    startedAtMs: timeMs.nullable(),
    endedAtMs: timeMs.nullable(),
    refs: z.array(callKeySchema),
    /** In place of `refs` when there are more than 256: the blob that holds the JSON array of their keys. */
    manyRefs: sha256Schema.exactOptional(),
    checks: z.array(checkResultSchema),
    failure: failureViewSchema.nullable(),
    /** The last ten that have ended. */
    attempts: z.array(attemptViewSchema),
    output: valueSchema.nullable(),
    /** The run of a `child`. */
    child: runIdSchema.nullable(),
    /** What the attempt under way said last. */
    progress: progressViewSchema.nullable(),
  })
  .meta({ id: "Task" });
export type TaskView = z.infer<typeof taskViewSchema>;
export const tasksPageSchema = pageOf(taskViewSchema);

export const cancelRunSchema = z.strictObject({ reason: z.string().max(500).default("cancelled by request") });
export const sendSignalSchema = z.strictObject({
  /** The sender's: the same again is the same signal. Without it each request is a signal of its own. */
  id: z.string().min(1).max(limits.idempotencyKeyCharsMax).exactOptional(),
  value: anyJson.exactOptional(),
});
export const signalSentSchema = z.object({ id: z.string() });
export const sendEventSchema = sendSignalSchema.extend({ project: nameSchema, name: nameSchema });
export const eventSentSchema = z.object({ id: z.string(), position: z.int() });
export const openedRunSchema = z.object({ run: runIdSchema, created: z.boolean() });

/** A journal entry as stored, with its position (from 1) and time. New kinds of `e` may be added. */
export const journalRowSchema = z
  .looseObject({
    position: z.int().min(1),
    atMs: timeMs,
    e: z.string(),
    key: z.string().exactOptional(),
    kind: z.string().exactOptional(),
    name: z.string().exactOptional(),
    outcome: z.string().exactOptional(),
    state: z.string().exactOptional(),
    attempt: z.int().exactOptional(),
    delayMs: z.number().exactOptional(),
    failure: failureViewSchema.exactOptional(),
  })
  .meta({ id: "JournalRow" });
export type JournalRow = z.infer<typeof journalRowSchema>;
export const journalPageSchema = z.object({ rows: z.array(journalRowSchema), cursor: z.string().nullable() });
/** A `progress` event of a journal's stream. It is no entry: its id is that of the last entry before it. */
export const progressEventSchema = z.object({ key: callKeySchema, ...progressViewSchema.shape });
export type ProgressEvent = z.infer<typeof progressEventSchema>;
const after = z.coerce.number().int().min(0);
export const journalQuerySchema = z.object({ after: after.default(0), limit: limit.default(200) });
export const journalStreamQuerySchema = z.object({ after: after.default(0) });

/** One chunk of a task's output. `position` counts within what was asked for: the run's log, or one task's. */
export const logRowSchema = z
  .object({
    position: z.int().min(1),
    key: z.string(),
    /** The attempt's fence: rows of one attempt share it. */
    fence: z.int(),
    stream: z.enum(["stdout", "stderr"]),
    /** Byte offset within the attempt's stream. */
    offset: z.int(),
    text: z.string().exactOptional(),
    /** In place of `text`, for bytes that are not UTF-8. */
    base64: z.string().exactOptional(),
    atMs: timeMs,
    /** The log was cut here, at its cap. */
    cut: z.boolean().exactOptional(),
  })
  .meta({ id: "LogRow" });
export type LogRow = z.infer<typeof logRowSchema>;
export const logsPageSchema = z.object({ rows: z.array(logRowSchema), cursor: z.string().nullable() });
export const logsQuerySchema = journalQuerySchema.extend({ task: callKeySchema.exactOptional() });
export const logsStreamQuerySchema = journalStreamQuerySchema.extend({ task: callKeySchema.exactOptional() });

// Fleet

export const agentViewSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    pool: z.string(),
    platform: z.string(),
    version: z.string(),
    labels: z.record(z.string(), z.string()),
    pythons: z.array(z.string()).exactOptional(),
    capacity: z.object({ tasks: z.int(), workflows: z.int() }),
    connected: z.boolean(),
    seenAtMs: timeMs,
  })
  .meta({ id: "Agent" });
export type AgentView = z.infer<typeof agentViewSchema>;
export const agentsPageSchema = pageOf(agentViewSchema);

// Access

export const createTokenSchema = z.strictObject({
  name: z.string().min(1).max(limits.nameCharsMax),
  role: roleSchema,
  /** Default: does not expire. */
  expiresInMs: z
    .int()
    .min(1_000)
    .max(10 * 365 * 24 * 3600_000)
    .exactOptional(),
});
export type CreateTokenRequest = z.infer<typeof createTokenSchema>;
export const tokenViewSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    role: roleSchema,
    createdAtMs: timeMs,
    createdBy: z.string(),
    expiresAtMs: timeMs.nullable(),
  })
  .meta({ id: "Token" });
export type TokenView = z.infer<typeof tokenViewSchema>;
/** `token` is shown this once: only its hash is stored. */
export const createdTokenSchema = tokenViewSchema.extend({ token: z.string() }).meta({ id: "CreatedToken" });
export type CreatedToken = z.infer<typeof createdTokenSchema>;
export const tokensPageSchema = pageOf(tokenViewSchema);

export const auditRowSchema = z
  .object({
    atMs: timeMs,
    actor: z.string(),
    action: z.string(),
    object: z.string(),
    /** SHA-256 of what was there before and after, null where there was nothing. */
    before: z.string().nullable(),
    after: z.string().nullable(),
  })
  .meta({ id: "AuditRow" });
export type AuditRow = z.infer<typeof auditRowSchema>;
export const auditPageSchema = pageOf(auditRowSchema);
