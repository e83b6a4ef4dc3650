import { z } from "zod";
import { limits } from "../domain/limits.ts";
import {
  callKeySchema,
  callSchemaOf,
  checkResultSchema,
  entrySchemaOf,
  failureSchema,
  nameSchema,
  sha256Schema,
} from "./common.ts";

/**
 * The task protocol: newline-delimited JSON, one frame a line, over the Unix socket named by `SALT_SOCKET`. The program
 * connects, proves `SALT_SESSION` in its `hello`, and reconnects for as long as it lives.
 *
 * T1  Every frame about a piece of work names its `argsId`; a frame with another than a current one is dropped, and the
 *     process recycled.
 * T2  The program keeps `calls`, `emit`, `done` and `fail` until `accepted`, and sends them again after `resume`.
 * T3  `done` and `fail` state how long the program's stdout and stderr files are, so that the agent knows whose output
 *     is whose in a warm process.
 * T4  Entries of `settled` come in journal order without gap; the program delivers them one at a time.
 * T5  Work with an `untilMs` must not go on after it, nor begin: the program ends itself with its whole process group, unless
 *     a `lease` has put it off. The agent does so too; whichever of the two is able to.
 */
export const taskProtocolVersion = 1;

/** An encoded value between agent and program: its JSON text, or a file in the work folder that holds that text. */
export const programValueSchema = z.union([
  z.object({ json: z.string() }),
  z.object({ path: z.string(), bytes: z.int().min(0).max(limits.valueBytesMax) }),
]);
export type ProgramValue = z.infer<typeof programValueSchema>;

export const programCallSchema = callSchemaOf(programValueSchema);
export type ProgramCall = z.infer<typeof programCallSchema>;
export const programEntrySchema = entrySchemaOf(programValueSchema);
export type ProgramEntry = z.infer<typeof programEntrySchema>;

const argsId = z.string().min(1).max(64);
/** T3: how long the files behind stdout and stderr are, in bytes. */
export const offsetsSchema = z.object({ stdout: z.int().min(0), stderr: z.int().min(0) });

/** A file that an output names by digest, to be stored before the output is reported. */
export const outputFileSchema = z.object({
  path: z.string(),
  sha256: sha256Schema,
  bytes: z.int().min(0).max(limits.fileBytesMax),
});

export const programFrameSchema = z.discriminatedUnion("t", [
  z.object({
    t: z.literal("hello"),
    protocol: z.int(),
    sdk: z.string().max(100),
    session: z.string(),
    pid: z.int(),
    /** The `--input` of the command line, or null for a program that waits for work. */
    argsId: argsId.nullable(),
    /**
     * Work that the program holds: begun, waiting its turn, or answered and not accepted. `calls`: how many of its calls
     * it knows to be accepted, from which an agent that restarted counts on.
     */
    working: z.array(z.object({ argsId, given: z.int().min(0), calls: z.int().min(0).exactOptional() })),
  }),
  z.object({ t: z.literal("calls"), argsId, given: z.int().min(0), calls: z.array(programCallSchema).min(1) }),
  z.object({ t: z.literal("await"), argsId, keys: z.array(callKeySchema).min(1) }),
  z.object({ t: z.literal("park"), argsId, given: z.int().min(0), awaiting: z.array(callKeySchema) }),
  z.object({
    t: z.literal("progress"),
    argsId,
    fraction: z.number().min(0).max(1).exactOptional(),
    message: z.string().exactOptional(),
  }),
  z.object({
    t: z.literal("emit"),
    argsId,
    key: z.string().min(1).max(limits.callKeyCharsMax),
    name: nameSchema,
    value: programValueSchema,
  }),
  /** The program is about to end and will not begin this task, which was queued: it goes elsewhere, and counts no attempt. */
  z.object({ t: z.literal("unbegun"), argsId }),
  /** Asks for a blob as a file; answered by `fetched`. */
  z.object({ t: z.literal("fetch"), argsId, sha256: sha256Schema }),
  z.object({
    t: z.literal("done"),
    argsId,
    offsets: offsetsSchema,
    output: programValueSchema,
    given: z.int().min(0).exactOptional(),
    checks: z.array(checkResultSchema).exactOptional(),
    files: z.array(outputFileSchema).max(1_000).exactOptional(),
  }),
  /** A workflow that goes on as a new run with a fresh journal. */
  z.object({
    t: z.literal("restart"),
    argsId,
    offsets: offsetsSchema,
    input: programValueSchema,
    given: z.int().min(0),
  }),
  z.object({
    t: z.literal("fail"),
    argsId,
    offsets: offsetsSchema,
    failure: failureSchema,
    given: z.int().min(0).exactOptional(),
    checks: z.array(checkResultSchema).exactOptional(),
  }),
]);
export type ProgramFrame = z.infer<typeof programFrameSchema>;

export const workSchema = z.object({
  t: z.literal("work"),
  argsId,
  kind: z.enum(["task", "workflow"]),
  name: nameSchema,
  /** For people and logs: `run_…/key`. */
  task: z.string(),
  attempt: z.int().min(1),
  input: programValueSchema,
  refs: z.record(z.string(), programValueSchema).exactOptional(),
  /** In place of `refs`, when they are many: a file that holds the same object as JSON. */
  manyRefs: z.object({ path: z.string(), bytes: z.int().min(0).max(limits.refsBytesMax) }).exactOptional(),
  /** Private, empty, and the working directory of a task. */
  folder: z.string(),
  seed: z.string().exactOptional(),
  openedAtMs: z.number().exactOptional(),
  /** The journal position up to which entries follow at once: the work is a replay until then. */
  journalEnd: z.int().min(0).exactOptional(),
  parkAfterMs: z.number().exactOptional(),
  /** T5: milliseconds on the machine's monotonic clock (CLOCK_MONOTONIC where there is one). */
  untilMs: z.number().exactOptional(),
});
export type Work = z.infer<typeof workSchema>;

export const agentToProgramFrameSchema = z.discriminatedUnion("t", [
  workSchema,
  z.object({ t: z.literal("settled"), argsId, entries: z.array(programEntrySchema) }),
  z.object({ t: z.literal("values"), argsId, values: z.record(z.string(), programValueSchema) }),
  z.object({
    t: z.literal("fetched"),
    argsId,
    sha256: sha256Schema,
    path: z.string().exactOptional(),
    failure: failureSchema.exactOptional(),
  }),
  /** `calls`: how many calls of this work, counted from its start on this process, are safe. `end`: its done or fail is. */
  z.object({
    t: z.literal("accepted"),
    argsId,
    calls: z.int().min(0).exactOptional(),
    emits: z.array(z.string()).exactOptional(),
    end: z.boolean().exactOptional(),
  }),
  /** The workflow is parked: its program forgets it. Without this answer to `park`, more entries follow. */
  z.object({ t: z.literal("parked"), argsId }),
  z.object({ t: z.literal("resume"), argsId }),
  /** The work may go on until then, on the clock of its `untilMs`. */
  z.object({ t: z.literal("lease"), argsId, untilMs: z.number() }),
  /**
   * The work is to end soon; ignored by programs that do not know it. One that has not begun is taken back by it: the
   * program does not begin it, and answers `fail` with a `CancelledError` at once.
   */
  z.object({ t: z.literal("cancel"), argsId, reason: z.string() }),
  z.object({ t: z.literal("quit") }),
]);
export type AgentToProgramFrame = z.infer<typeof agentToProgramFrameSchema>;
