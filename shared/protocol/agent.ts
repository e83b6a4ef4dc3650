import { z } from "zod";
import { limits } from "../domain/limits.ts";
import {
  agentIdSchema,
  callKeySchema,
  callSchema,
  checkResultSchema,
  entrySchema,
  failureSchema,
  labelsSchema,
  nameSchema,
  platformSchema,
  pythonRequiresSchema,
  pythonVersionSchema,
  sha256Schema,
  taskIdSchema,
  valueSchema,
} from "./common.ts";

/**
 * The agent protocol: WebSocket, subprotocol `salt.agent.v1`, dialled by the agent. One message is a JSON array of
 * frames (a batch), at most `limits.frameBytesMax`.
 *
 * P1  Every frame about an attempt names (task, fence).
 * P2  Frames with `seq` are kept by the sender until an `accepted` range covers them, and sent again after a lost
 *     connection (under new numbers: a number means something within one connection only).
 * P3  Effects are idempotent by identity: call = (run, key), report = (task, fence), log = (task, fence, stream, offset),
 *     emit = (task, key).
 */
export const agentSubprotocol = "salt.agent.v1";

const seq = z.int().min(1);
const fence = z.int().min(1);
const attempt = { task: taskIdSchema, fence };
export const attemptSchema = z.object(attempt);
export type AttemptName = z.infer<typeof attemptSchema>;
const attempts = z.array(attemptSchema).max(10_000);

/** What the agent says of an attempt. Only `done` can succeed; `lost` and `unstarted` say that the program's end is unknown, or that it never began. */
export const resultSchema = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("done"),
    output: valueSchema,
    checks: z.array(checkResultSchema).max(100).exactOptional(),
  }),
  z.object({ kind: z.literal("restart"), input: valueSchema }),
  z.object({
    kind: z.literal("fail"),
    failure: failureSchema,
    checks: z.array(checkResultSchema).max(100).exactOptional(),
    /** The program itself said so. Absent: the agent says it of a program that gave no answer, whatever the failure's type. */
    answered: z.literal(true).exactOptional(),
  }),
  z.object({ kind: z.literal("cancelled"), failure: failureSchema }),
  z.object({ kind: z.literal("lost"), failure: failureSchema }),
]);
export type Result = z.infer<typeof resultSchema>;

export const reportSchema = z.object({
  ...attempt,
  result: resultSchema,
  /** Milliseconds from the program's start on this attempt to its answer. */
  ranMs: z.number().min(0),
  /** Of a workflow task: the last journal position that its program had been given. */
  given: z.int().min(0).exactOptional(),
});
export type Report = z.infer<typeof reportSchema>;

export const logChunkSchema = z.object({
  ...attempt,
  stream: z.enum(["stdout", "stderr"]),
  /** Byte offset within this attempt's stream. */
  offset: z.int().min(0),
  /** Bytes as UTF-8 text, or in base64 where they are not UTF-8. */
  text: z.string().exactOptional(),
  base64: z.string().exactOptional(),
  atMs: z.number(),
  /** Set on the last chunk when the stream was cut at its cap. */
  cut: z.boolean().exactOptional(),
});
export type LogChunk = z.infer<typeof logChunkSchema>;

export const agentFrameSchema = z.discriminatedUnion("t", [
  z.object({
    t: z.literal("hello"),
    agent: agentIdSchema,
    name: z.string().min(1).max(limits.nameCharsMax),
    pool: nameSchema,
    platform: platformSchema,
    version: z.string().max(50),
    labels: labelsSchema,
    /** The versions of CPython on its machine with which it can execute PEXes. */
    pythons: z.array(pythonVersionSchema).max(20).exactOptional(),
    capacity: z.object({ tasks: z.int().min(0), workflows: z.int().min(0) }),
    /** It keeps journals that it was given, as far as it can, and says `lacks` when it has not. */
    keepsJournals: z.literal(true).exactOptional(),
    cached: z.array(sha256Schema).max(1_000),
    /** Leases still held; what an older session held and this list omits goes back to its queue. */
    leases: z
      .array(
        z.object({
          ...attempt,
          /** Of a workflow task: the last journal position that was handed to its program. */
          given: z.int().min(0).exactOptional(),
        }),
      )
      .max(10_000),
  }),
  /** Leases that the agent may hold at once, in all: absolute, never a difference. */
  z.object({ t: z.literal("credit"), tasks: z.int().min(0), workflows: z.int().min(0) }),
  /** Accepts grants (each else ends `limits.grantHoldMs` after it was made). A report accepts its grant by itself. */
  z.object({ t: z.literal("leased"), leases: attempts }),
  z.object({ t: z.literal("started"), leases: attempts }),
  /** With `at`, when it was sent on a clock of the agent's, it is not kept waiting, and `renewed` says that again (C17). */
  z.object({ t: z.literal("renew"), leases: attempts, at: z.number().exactOptional() }),
  /** Leases given back unstarted: no attempt is counted. */
  z.object({ t: z.literal("handback"), leases: attempts }),
  z.object({ t: z.literal("report"), seq, reports: z.array(reportSchema).min(1).max(1_000) }),
  z.object({
    t: z.literal("calls"),
    seq,
    ...attempt,
    given: z.int().min(0),
    calls: z.array(callSchema).min(1).max(1_000),
  }),
  /** Outputs wanted of calls that settled without one being sent. Answered by `values`. */
  z.object({ t: z.literal("await"), ...attempt, keys: z.array(callKeySchema).min(1).max(1_000) }),
  /** Answered by `parked`, or by more entries when the journal had grown past `given`. */
  z.object({ t: z.literal("park"), ...attempt, given: z.int().min(0), awaiting: z.array(callKeySchema).max(10_000) }),
  /** The entries that the lease takes to be kept are not: all are wanted, from the first on. */
  z.object({ t: z.literal("lacks"), ...attempt }),
  z.object({
    t: z.literal("emit"),
    seq,
    ...attempt,
    key: z.string().min(1).max(limits.callKeyCharsMax),
    name: nameSchema,
    value: valueSchema,
  }),
  z.object({ t: z.literal("logs"), seq, chunks: z.array(logChunkSchema).min(1).max(1_000) }),
  z.object({
    t: z.literal("progress"),
    ...attempt,
    fraction: z.number().min(0).max(1).exactOptional(),
    message: z.string().max(1_000).exactOptional(),
  }),
  /** The agent has drained and leaves. */
  z.object({ t: z.literal("bye") }),
]);
export type AgentFrame = z.infer<typeof agentFrameSchema>;

export const leaseSchema = z.object({
  ...attempt,
  kind: z.enum(["task", "workflow"]),
  project: z.string(),
  release: z.string(),
  /** Digest and size of the binary for the agent's platform. */
  binary: sha256Schema,
  binaryBytes: z.int().min(0),
  /** The binary is a PEX, for such a Python. */
  python: pythonRequiresSchema.exactOptional(),
  /** Task type or workflow, within the project. */
  name: nameSchema,
  /** Counted from 1. */
  attempt: z.int().min(1),
  input: valueSchema,
  /** Outputs of the refs within the input, by call key. */
  refs: z.record(z.string(), valueSchema).exactOptional(),
  /** In place of `refs` for a call with `manyRefs`: the blob that holds them as JSON. `blobs`: how many are blobs themselves. */
  manyRefs: z
    .object({ blob: sha256Schema, bytes: z.int().min(0).max(limits.refsBytesMax), blobs: z.int().min(0) })
    .exactOptional(),
  process: z.enum(["warm", "fresh"]),
  attemptTimeoutMs: z.number(),
  /** It is begun only once a renewal was accepted, and ended when the last accepted one was sent the time to live ago. */
  onLeaseLost: z.literal("stop").exactOptional(),
  /** Workflow tasks: seed of `random` and `uuid`, when the run was opened, and the journal position at the grant. */
  seed: z.string().exactOptional(),
  openedAtMs: z.number().exactOptional(),
  journalEnd: z.int().min(0).exactOptional(),
  /** Entries up to position `p` are not sent: the agent had them. `mark` is that of the last one (`entry-mark.ts`). */
  kept: z.object({ p: z.int().min(1), mark: z.string().max(1_000) }).exactOptional(),
});
export type Lease = z.infer<typeof leaseSchema>;

export const coordinatorFrameSchema = z.discriminatedUnion("t", [
  z.object({
    t: z.literal("welcome"),
    session: z.int().min(1),
    leaseTtlMs: z.number(),
    grantHoldMs: z.number(),
    parkAfterMs: z.number(),
    logBytesPerTaskMax: z.number(),
    leases: z.array(z.object({ ...attempt, verdict: z.enum(["keep", "stale"]) })),
  }),
  z.object({ t: z.literal("leases"), leases: z.array(leaseSchema) }),
  /** Journal entries of a workflow task, in order and without gap from the last given. */
  z.object({ t: z.literal("settled"), ...attempt, entries: z.array(entrySchema) }),
  z.object({ t: z.literal("values"), ...attempt, values: z.record(z.string(), valueSchema) }),
  z.object({ t: z.literal("parked"), ...attempt }),
  z.object({ t: z.literal("renewed"), leases: attempts, at: z.number().exactOptional() }),
  /** The agent ends these attempts and drops what they would still say. */
  z.object({ t: z.literal("stale"), leases: attempts }),
  /** The attempt is to end: politely first, by force after `graceMs`. It is reported as what it came to. */
  z.object({ t: z.literal("stop"), ...attempt, reason: z.string(), graceMs: z.number() }),
  z.object({ t: z.literal("accepted"), ranges: z.array(z.tuple([seq, seq])) }),
  z.object({ t: z.literal("drain") }),
  z.object({ t: z.literal("refused"), code: z.string(), message: z.string() }),
]);
export type CoordinatorFrame = z.infer<typeof coordinatorFrameSchema>;

export const agentBatchSchema = z.array(agentFrameSchema).max(10_000);
export const coordinatorBatchSchema = z.array(coordinatorFrameSchema).max(10_000);
