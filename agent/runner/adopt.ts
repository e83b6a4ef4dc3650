import { join } from "node:path";
import { z } from "zod";
import { assert } from "#shared/domain/assert.ts";
import type { Lease } from "#shared/protocol/agent.ts";
import { pythonRequiresSchema, sha256Schema } from "#shared/protocol/common.ts";
import { type Attempt, moveAttempt, newAttempt } from "../leases/attempt.ts";
import type { Leases } from "../leases/leases.ts";
import type { AgentDeps } from "../options.ts";
import type { AttemptJournal, Remembered } from "../outbox/attempt-journal.ts";
import type { Disk, ProcessIdentity } from "../ports.ts";
import { sandboxFolders } from "../sandbox/prepare-sandbox.ts";
import { newLogProgress } from "./log-follower.ts";
import type { Program } from "./program.ts";
import type { ProgramSocket } from "./program-socket.ts";
import type { Runner } from "./runner.ts";
import {
  exitFile,
  followLogs,
  identityFile,
  isSameProcess,
  listenFor,
  type ProcessRecord,
  recordFile,
  type StartDeps,
} from "./start-program.ts";

export interface AdoptDeps extends AgentDeps {
  readonly folder: string;
  readonly runner: Runner;
  readonly start: StartDeps;
  readonly leases: Leases;
  readonly journal: AttemptJournal;
  readonly remembered: Remembered;
}

type RememberedAttempt = Remembered["attempts"][number];

/** How long living programs have to dial in again. They try at least once a second. */
const returnMs = 5_000;
const lookMs = 20;

const recordSchema = z.object({
  id: z.string(),
  pool: z.object({
    kind: z.enum(["task", "workflow"]),
    project: z.string(),
    release: z.string(),
    binary: sha256Schema,
    python: pythonRequiresSchema.exactOptional(),
    policy: z.enum(["warm", "fresh"]),
  }),
  socket: z.string(),
  sessionHash: z.string().regex(/^[0-9a-f]{64}$/),
});
const identitySchema = z.object({ pid: z.int().min(2), startTime: z.string(), bootId: z.string() });

/**
 * Takes up the processes that an earlier life of the agent left (C18): those that live dial in and go on; of those that
 * have ended meanwhile the exit file says how; of the rest it is only known that they are gone. Resolves when each has
 * dialled in or its time is up, so that the first `hello` to the coordinator says what is really held.
 */
export async function adoptProcesses(deps: AdoptDeps): Promise<void> {
  const processes = join(deps.folder, "processes");
  const adopted: Program[] = [];
  for (const name of await deps.start.disk.list(processes)) {
    const program = await adoptProcess(deps, join(processes, name)).catch((error) => {
      deps.logger.error({ error, process: name }, "Cannot take up a process of an earlier life");
      return null;
    });
    if (program !== null) adopted.push(program);
  }
  await sweepValues(deps);
  deps.journal.compact();
  const untilMs = deps.clock.monotonicMs() + returnMs;
  const isAway = (program: Program) => program.state === "starting";
  while (adopted.some(isAway) && deps.clock.monotonicMs() < untilMs) {
    await new Promise<void>((resolve) => deps.clock.after(lookMs, resolve));
    for (const program of adopted) deps.runner.lookAtAdopted(program);
  }
  for (const program of adopted) if (isAway(program)) program.kill({ culprit: program.current, failure: null });
}

async function adoptProcess(deps: AdoptDeps, folder: string): Promise<Program | null> {
  const { disk, processes } = deps.start;
  const record = await readJson(disk, recordFile(folder), recordSchema);
  const identity = await readJson(disk, identityFile(folder), identitySchema);
  if (record === null) {
    await disk.remove(folder);
    return null;
  }
  const program = deps.runner.join(record.pool, record.id);
  program.adopted = true;
  program.saidHello = true;
  const attempts = deps.remembered.attempts.filter((attempt) => attempt.program === record.id);
  const isAlive = await takeUp(deps, program, { record, identity, folder, attempts });
  if (isAlive()) return program;
  // C19: notes are not synced. After a boot of the machine the last may be lost, and with them whose output is whose.
  if (identity?.bootId !== processes.bootId) program.parts?.logs.skip();
  deps.runner.ended(program, processes.readExit(exitFile(folder)));
  return null;
}

/** Takes up its files and attempts, and only then lets it dial in: its hello is held against what it is known to have. */
async function takeUp(
  deps: AdoptDeps,
  program: Program,
  found: {
    record: ProcessRecord;
    identity: ProcessIdentity | null;
    folder: string;
    attempts: readonly RememberedAttempt[];
  },
): Promise<() => boolean> {
  const { record, identity, folder } = found;
  const { disk, processes } = deps.start;
  const events = deps.runner.eventsOf(program);
  const isAlive = () => identity !== null && isSameProcess(processes, identity);
  const mark = deps.remembered.marks.get(record.id);
  const { logFolder } = sandboxFolders(folder);
  await disk.makeFolder(logFolder);
  const logs = followLogs(deps.start, program, logFolder, events, mark);
  const folders = processes.openWorkFolders(
    join(folder, "work"),
    found.attempts.map((attempt) => attempt.folder),
  );
  let socket: ProgramSocket | null = null;
  program.attach({
    get socket() {
      assert(socket !== null, "nothing is said to a program before it can dial in");
      return socket;
    },
    logs,
    folders,
    signal(signal) {
      if (identity !== null && isAlive()) processes.signalGroup(identity.pid, signal);
    },
    stderrTail: (bytes) => logs.tail("stderr", bytes),
    hasEnded: () => (isAlive() ? null : { exit: processes.readExit(exitFile(folder)) }),
    async remove() {
      socket?.close();
      logs.close();
      folders.close();
      await disk.remove(folder);
    },
  });
  for (const remembered of found.attempts) adoptAttempt(deps, program, record, remembered);
  socket = await listenFor(deps.start, program, record, events);
  return isAlive;
}

/** The attempt as far as it is needed to go on: its input is in the program's hands. */
function adoptAttempt(deps: AdoptDeps, program: Program, record: ProcessRecord, remembered: RememberedAttempt): void {
  const { kind, project, release, binary, python, policy } = record.pool;
  const { task, fence, name, attempt: nth, attemptTimeoutMs, argsId, untilMs } = remembered;
  const lease: Lease = {
    ...(python === undefined ? {} : { python }),
    ...{ task, fence, kind, project, release, binary, binaryBytes: 0, name, attempt: nth, attemptTimeoutMs },
    input: { json: "null" },
    process: policy,
    ...(untilMs === undefined ? {} : { onLeaseLost: "stop" }),
  };
  const nowMs = deps.clock.monotonicMs();
  const failed = (attempt: Attempt, error: unknown) => deps.runner.failed(attempt, error);
  const attempt = newAttempt(lease, { argsId, nowMs, failed, logs: newLogProgress(remembered.sent) });
  if (untilMs !== undefined) attempt.heldUntilMs = untilMs;
  moveAttempt(attempt, "waiting");
  deps.journal.adopt(remembered);
  deps.leases.adopt(attempt);
  deps.runner.adopted(attempt);
  program.adopt(attempt, remembered.folder);
}

/** Removes the values of attempts that nobody goes on with. */
async function sweepValues(deps: AdoptDeps): Promise<void> {
  const { disk } = deps.start;
  const folder = join(deps.folder, "values");
  await disk.makeFolder(folder);
  const live = new Set(deps.remembered.attempts.map((attempt) => attempt.argsId));
  for (const name of await disk.list(folder)) {
    if (!live.has(name.slice(0, name.lastIndexOf(".")))) await disk.remove(join(folder, name));
  }
}

async function readJson<T>(disk: Disk, file: string, schema: z.ZodType<T>): Promise<T | null> {
  try {
    return schema.safeParse(JSON.parse((await disk.read(file)) ?? "null")).data ?? null;
  } catch {
    return null;
  }
}
