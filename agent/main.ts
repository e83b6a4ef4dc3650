import { arch, availableParallelism, hostname, platform } from "node:os";
import { join } from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import type { AgentId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { labelsSchema, nameSchema, platformSchema } from "#shared/protocol/common.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { BinaryCache } from "./cache/binary-cache.ts";
import { createBinaryFiles } from "./cache/binary-files.ts";
import { createBlobClient } from "./cache/blob-client.ts";
import { Connection, type Hello, type Welcome } from "./connection/connection.ts";
import { dialCoordinator } from "./connection/dial.ts";
import { type DataFolder, openDataFolder } from "./data-folder.ts";
import { keepProcessAlive } from "./keep-alive.ts";
import { Leases } from "./leases/leases.ts";
import type { Agent, AgentOptions, AgentState } from "./options.ts";
import { AttemptJournal } from "./outbox/attempt-journal.ts";
import { createReportFiles } from "./outbox/report-files.ts";
import { Reporter } from "./outbox/reporter.ts";
import { adoptProcesses } from "./runner/adopt.ts";
import { LogWindow } from "./runner/log-window.ts";
import { createValues } from "./runner/program-values.ts";
import { Runner } from "./runner/runner.ts";

export type { Agent, AgentOptions, AgentState, Logger } from "./options.ts";

export const agentVersion = "0.1.0";

const cacheBytesDefault = 10 * 1024 ** 3;
const logWindowBytes = 1024 * 1024;
const drainMsDefault = 30_000;
const drainLookMs = 20;

/**
 * Starts an agent: a machine's worker, which dials the coordinator and executes what it is granted. Resolves when its
 * data folder is open and what an earlier life left has been taken up; the coordinator need not be there.
 *
 * Errors: `BadRequest` for an unusable option, `NotAllowed` for an unsafe data folder, `Conflict` for one in use.
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const settings = readOptions(options);
  const deps = {
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
    logger: options.logger,
  };
  const folder = await openDataFolder(options.dataFolder, deps);
  const life = Buffer.from(deps.random.bytes(5)).toString("hex");
  let counter = 0;
  const newName = () => `${life}.${(counter++).toString(36)}`;

  const target = { url: options.url, token: options.token };
  const blobs = createBlobClient(target, deps);
  const cache = new BinaryCache(
    { ...deps, blobs, files: createBinaryFiles(join(folder.path, "binaries")) },
    options.cacheBytesMax ?? cacheBytesDefault,
  );
  const values = createValues({ blobs, folder: join(folder.path, "values") });
  const { journal, remembered } = AttemptJournal.open(join(folder.path, "attempts"), deps.clock);
  const timings = { parkAfterMs: limits.parkAfterMs as number, logBytesMax: limits.logBytesPerTaskMax as number };

  const closed = Promise.withResolvers<void>();
  closed.promise.catch(() => {});

  const hello = (): Hello => ({
    t: "hello",
    agent: folder.id,
    name: settings.name,
    pool: settings.pool,
    platform: settings.platform,
    version: agentVersion,
    labels: settings.labels,
    capacity: { tasks: settings.slots, workflows: settings.workflowSlots },
    cached: cache.digests().slice(0, 1_000),
    leases: leases.held(),
  });
  const welcomed = (welcome: Welcome) => {
    timings.parkAfterMs = welcome.parkAfterMs;
    timings.logBytesMax = welcome.logBytesPerTaskMax;
    deps.logger.info({ agent: folder.id, session: welcome.session, url: options.url }, "Connected to the coordinator");
    reporter.welcomed();
    leases.welcomed(welcome);
  };
  const connection: Connection = new Connection({ ...deps, dial: dialCoordinator }, target, {
    hello,
    welcomed,
    frame: (frame) => leases.frame(frame),
    lost: () => reporter.lost(),
    refused: (error) => void end(error),
  });
  const leases: Leases = new Leases(
    {
      ...deps,
      connection,
      relay: { connection, values },
      newArgsId: newName,
      runner: () => runner,
      reporter: () => reporter,
    },
    settings,
  );
  const runner: Runner = new Runner(
    {
      ...deps,
      cache,
      values,
      connection,
      journal,
      processesFolder: join(folder.path, "processes"),
      socketFolder: folder.socketFolder,
      env: options.env ?? {},
      logWindow: new LogWindow(logWindowBytes),
      logBytesMax: () => timings.logBytesMax,
      newProcessId: newName,
      parkAfterMs: () => timings.parkAfterMs,
    },
    settings,
    leases,
  );
  const reporter: Reporter = new Reporter({
    ...deps,
    connection,
    files: createReportFiles(join(folder.path, "outbox")),
    accepted: (attempt) => leases.accepted(attempt),
    stored: (attempt) => runner.stored(attempt),
  });

  const alive = keepProcessAlive();
  let state: AgentState | null = null;
  let ending: Promise<void> | null = null;
  const end = (error?: SaltError): Promise<void> => {
    ending ??= (async () => {
      state = "closed";
      connection.close("the agent ends");
      leases.close();
      runner.close();
      await reporter.settle();
      journal.close();
      folder.close();
      alive.release();
      if (error === undefined) closed.resolve();
      else closed.reject(error);
    })();
    return ending;
  };
  const drain = async (): Promise<void> => {
    if (state === null) {
      state = "draining";
      deps.logger.info({ agent: folder.id, leases: leases.count }, "Draining");
      leases.drain();
    }
    const untilMs = deps.clock.monotonicMs() + (options.drainMs ?? drainMsDefault);
    const isDone = () => leases.count === 0 && connection.unacceptedCount === 0;
    while (!isDone() && state === "draining" && deps.clock.monotonicMs() < untilMs) {
      await new Promise<void>((resolve) => deps.clock.after(drainLookMs, resolve));
    }
    if (state === "draining") {
      runner.handbackWorkflows();
      connection.control({ t: "bye" });
    }
    await end();
  };

  try {
    await cache.open();
    await reporter.load();
    await adoptProcesses({ ...deps, folder: folder.path, runner, leases, remembered, values });
  } catch (error) {
    await end();
    throw error;
  }
  connection.open();
  return {
    id: folder.id satisfies AgentId,
    get state() {
      return state ?? (connection.connected ? "connected" : "dialling");
    },
    drain,
    close: () => end(),
    closed: closed.promise,
  };
}

function readOptions(options: AgentOptions) {
  const cores = availableParallelism();
  const check = <T>(
    what: string,
    read: { success: boolean; data?: T | undefined; error?: { message: string } | undefined },
  ): T => {
    if (read.success && read.data !== undefined) return read.data;
    throw new SaltError("BadRequest", `Cannot start the agent: its ${what} is not valid: ${read.error?.message}`);
  };
  const count = (what: string, value: number): number => {
    if (Number.isInteger(value) && value >= 0 && value <= 10_000) return value;
    throw new SaltError("BadRequest", `Cannot start the agent: ${what} must be a whole number from 0 to 10,000.`);
  };
  return {
    name: (options.name ?? hostname()).slice(0, limits.nameCharsMax) || "agent",
    pool: check("pool", nameSchema.safeParse(options.pool ?? "default")),
    labels: check("labels", labelsSchema.safeParse(options.labels ?? {})),
    platform: check("platform", platformSchema.safeParse(`${platform()}-${arch()}`)),
    slots: count("slots", options.slots ?? cores),
    workflowSlots: count("workflowSlots", options.workflowSlots ?? cores * limits.workflowSlotsPerCore),
  };
}

export type { DataFolder };
