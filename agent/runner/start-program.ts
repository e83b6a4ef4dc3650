import { join } from "node:path";
import type { Attempt } from "../leases/attempt.ts";
import type { AgentDeps } from "../options.ts";
import type { Disk, LaunchOptions, Processes, ProcessIdentity, ProgramExit } from "../ports.ts";
import { prepareSandbox } from "../sandbox/prepare-sandbox.ts";
import { LogFollower, type ReadChunk } from "./log-follower.ts";
import type { LogWindow } from "./log-window.ts";
import type { PoolIdentity } from "./pool.ts";
import type { Program } from "./program.ts";
import { hashSession, ProgramSocket } from "./program-socket.ts";
import { readHello } from "./read-frame.ts";

export interface StartDeps extends AgentDeps {
  readonly disk: Disk;
  readonly processes: Processes;
  readonly processesFolder: string;
  readonly socketFolder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly logWindow: LogWindow;
  readonly logBytesMax: () => number;
  readonly forks: Forks;
}

export interface ForkEvents {
  readonly exited: (exit: ProgramExit | null) => void;
  /** Nobody tells of its end any more but its exit file. */
  readonly orphaned: () => void;
}

/** What forks programs from one that has imported the project already. */
export interface Forks {
  serves(pool: PoolIdentity): boolean;
  /** Null when it has to be started as others are. */
  fork(pool: PoolIdentity, options: LaunchOptions, events: ForkEvents): Promise<{ readonly pid: number } | null>;
}

export interface ProcessEvents {
  chunk(attempt: Attempt, chunk: ReadChunk): void;
  flooded(attempt: Attempt): void;
  proven(line: string): void;
  silent(): void;
  overrun(): void;
  /** Null when it could not be started. */
  exited(exit: ProgramExit | null): void;
}

/** What an agent that restarts needs to find its processes again (C18). */
export interface ProcessRecord {
  readonly id: string;
  readonly pool: PoolIdentity;
  readonly socket: string;
  readonly sessionHash: string;
}

export const recordFile = (folder: string): string => join(folder, "record.json");
export const identityFile = (folder: string): string => join(folder, "identity.json");
export const exitFile = (folder: string): string => join(folder, "exit");

/**
 * Under which a language does in every process what it does in one: Python's sets of strings are iterated in an order of
 * the process otherwise, so that a workflow that goes over one would call other things when it is replayed.
 */
const replayable: Readonly<Record<string, string>> = { PYTHONHASHSEED: "0" };

/** Starts a process of the pool: folders, socket and a durable record first, then the program. */
export async function startProgram(
  deps: StartDeps,
  program: Program,
  options: { pool: PoolIdentity; command: readonly string[] },
  events: ProcessEvents,
): Promise<void> {
  const { disk, processes } = deps;
  const folder = join(deps.processesFolder, program.id);
  const session = Buffer.from(deps.random.bytes(32)).toString("hex");
  const record: ProcessRecord = {
    id: program.id,
    pool: options.pool,
    socket: join(deps.socketFolder, program.id),
    sessionHash: hashSession(session),
  };
  const env = options.pool.kind === "workflow" ? { ...replayable, ...deps.env } : deps.env;
  const sandbox = await prepareSandbox(disk, { folder, socket: record.socket, session, env });
  const socket = await listenFor(deps, program, record, events);
  await disk.writeDurably(recordFile(folder), JSON.stringify(record));
  if (program.state !== "starting") {
    socket.close();
    await sandbox.remove();
    events.exited(null);
    return;
  }
  const [binary = "", ...args] = options.command;
  const launch = {
    binary,
    args,
    env: sandbox.env,
    cwd: sandbox.workFolder,
    stdout: join(sandbox.logFolder, "stdout"),
    stderr: join(sandbox.logFolder, "stderr"),
    exitFile: exitFile(folder),
  };
  const forked = deps.forks.serves(options.pool)
    ? await fork(deps, program, { pool: options.pool, launch }, events)
    : null;
  const child = forked ?? processes.launch(launch, events.exited);
  const pid = child?.pid ?? null;
  const identity = pid === null ? null : processes.identify(pid);
  const logs = followLogs(deps, program, sandbox.logFolder, events);
  const folders = processes.openWorkFolders(join(folder, "work"));
  program.attach({
    socket,
    logs,
    folders,
    signal: (signal) => pid !== null && processes.signalGroup(pid, signal),
    hasEnded: () =>
      identity !== null && isSameProcess(processes, identity) ? null : { exit: processes.readExit(exitFile(folder)) },
    stderrTail: (bytes) => logs.tail("stderr", bytes),
    async remove() {
      socket.close();
      logs.close();
      folders.close();
      await sandbox.remove();
    },
  });
  // It was ended while it was forked.
  if (forked !== null && program.state !== "starting") program.parts?.signal("SIGKILL");
  // Before its hello can be heard: of a program that is at work without, the agent's next life would not know that it lives.
  if (identity !== null) disk.write(identityFile(folder), JSON.stringify(identity));
}

async function fork(
  { forks }: StartDeps,
  program: Program,
  { pool, launch }: { pool: PoolIdentity; launch: LaunchOptions },
  { exited }: ProcessEvents,
): Promise<{ readonly pid: number } | null> {
  return await forks.fork(pool, launch, {
    exited,
    orphaned() {
      program.adopted = true;
    },
  });
}

export function isSameProcess(processes: Processes, identity: ProcessIdentity): boolean {
  const now = processes.identify(identity.pid);
  return now !== null && now.startTime === identity.startTime && now.bootId === identity.bootId;
}

export function followLogs(
  deps: StartDeps,
  program: Program,
  logFolder: string,
  events: Pick<ProcessEvents, "chunk" | "flooded">,
  mark?: { stdout: number; stderr: number },
): LogFollower<Attempt> {
  const files = deps.processes.openLogFiles(logFolder, () => logs.changed());
  const logs: LogFollower<Attempt> = new LogFollower<Attempt>(
    { clock: deps.clock, files, window: deps.logWindow, bytesMax: deps.logBytesMax, isAlone: () => program.isAlone },
    events,
    mark,
  );
  return logs;
}

export function listenFor(
  deps: StartDeps,
  program: Program,
  record: ProcessRecord,
  events: ProcessEvents,
): Promise<ProgramSocket> {
  return ProgramSocket.listen(
    record.socket,
    { sessionHash: record.sessionHash, clock: deps.clock, processes: deps.processes },
    {
      sessionOf: (line) => readHello(line)?.session ?? null,
      proven: events.proven,
      lines: (lines) => program.hear(lines),
      overrun: events.overrun,
      lost: events.silent,
    },
  );
}
