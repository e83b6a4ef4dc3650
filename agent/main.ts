import { join } from "node:path";
import { limits } from "#shared/domain/limits.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { BinaryCache } from "./cache/binary-cache.ts";
import { Programs } from "./cache/programs.ts";
import { Connection, type Hello, type Welcome } from "./connection/connection.ts";
import { createTarget } from "./connection/target.ts";
import { KeptJournals } from "./leases/kept-journals.ts";
import { Leases } from "./leases/leases.ts";
import { AgentLife } from "./life.ts";
import type { Agent, AgentDeps, AgentOptions } from "./options.ts";
import { AttemptJournal } from "./outbox/attempt-journal.ts";
import { createReportFiles } from "./outbox/report-files.ts";
import { Reporter } from "./outbox/reporter.ts";
import { adoptProcesses } from "./runner/adopt.ts";
import { ForkServers } from "./runner/fork-servers.ts";
import { LogWindow } from "./runner/log-window.ts";
import { Runner } from "./runner/runner.ts";
import type { StartDeps } from "./runner/start-program.ts";
import { readSettings, type Settings } from "./settings.ts";
import { systemMachine } from "./system-machine.ts";

export type { Agent, AgentOptions, AgentState, Logger } from "./options.ts";

export const agentVersion = "0.1.0";

const cacheBytesDefault = 10 * 1024 ** 3;
const logWindowBytes = 1024 * 1024;
const drainMsDefault = 30_000;

/**
 * Starts an agent: a machine's worker, which dials the coordinator and executes what it is granted. Resolves when its
 * data folder is open and what an earlier life left has been taken up (up to 5 s when programs of it live); the
 * coordinator need not be there.
 *
 * Errors: `BadRequest` for an unusable option, `NotAllowed` for an unsafe data folder, `Conflict` for one in use.
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const settings = readSettings(options);
  const machine = options.machine ?? systemMachine;
  const { clock = systemClock, random = systemRandom, logger } = options;
  const deps = { clock, random, logger, disk: machine.disk, processes: machine.processes };
  const folder = await machine.openDataFolder(options.dataFolder, deps);
  const within = (name: string) => join(folder.path, name);
  const newName = nameSource(deps);
  const target = createTarget(options.url, options.token, deps.random.float());
  const timings = { parkAfterMs: limits.parkAfterMs as number, logBytesMax: limits.logBytesPerTaskMax as number };

  const blobs = machine.createBlobClient(target, deps);
  const cacheFiles = machine.createBinaryFiles(within("binaries"));
  const cache = new BinaryCache({ ...deps, blobs, files: cacheFiles }, options.cacheBytesMax ?? cacheBytesDefault);
  const programs = new Programs({ ...deps, cache, files: machine.pexFiles }, await machine.findPythons());
  const values = machine.createValues({ blobs, folder: within("values") });
  const { journal, remembered } = AttemptJournal.open(deps, within("attempts"));
  const { socketFolder } = folder;
  const forks = new ForkServers({ ...deps, socketFolder, folder: within("forks"), programs });
  const start: StartDeps = {
    ...{ ...deps, forks, socketFolder },
    processesFolder: within("processes"),
    env: options.env ?? {},
    logWindow: new LogWindow(logWindowBytes),
    logBytesMax: () => timings.logBytesMax,
  };

  const hello = (): Hello => ({
    t: "hello",
    agent: folder.id,
    ...selfOf(settings, programs),
    cached: cache.digests().slice(0, 1_000),
    leases: leases.held(),
  });
  const welcomed = (welcome: Welcome) => {
    timings.parkAfterMs = welcome.parkAfterMs;
    timings.logBytesMax = welcome.logBytesPerTaskMax;
    deps.logger.info({ agent: folder.id, session: welcome.session, url: target.url }, "Connected to the coordinator");
    reporter.welcomed();
    leases.welcomed(welcome);
  };
  const connection: Connection = new Connection({ ...deps, dial: machine.dial }, target, {
    hello,
    welcomed,
    frame: (frame) => leases.frame(frame),
    lost: () => reporter.lost(),
    refused: (error) => void life.end(error),
  });
  const relay = { connection, values, journals: new KeptJournals(limits.journalsKeptBytesMax) };
  const leases: Leases = new Leases(
    { ...deps, connection, relay, notes: journal, newArgsId: newName, runner: () => runner, reporter: () => reporter },
    settings,
  );
  const running = { newProcessId: newName, parkAfterMs: () => timings.parkAfterMs };
  const runner: Runner = new Runner({ ...start, ...running, programs, values, connection, journal }, settings, leases);
  const reporter: Reporter = new Reporter({
    ...deps,
    connection,
    files: createReportFiles(deps.disk, within("outbox")),
    accepted: (attempt) => leases.accepted(attempt),
    stored: (attempt) => runner.stored(attempt),
  });
  const parts = { folder, connection, leases, runner, forks, reporter, journal, alive: machine.keepAlive() };
  const life: AgentLife = new AgentLife({ ...deps, drainMs: options.drainMs ?? drainMsDefault }, parts);

  try {
    await cache.open();
    await Promise.all([reporter.load(), forks.open()]);
    await adoptProcesses({ ...deps, folder: folder.path, runner, start, leases, journal, remembered });
  } catch (error) {
    await life.end();
    throw error;
  }
  connection.open();
  return life;
}

/** What an agent says of itself that stays. */
const selfOf = ({ name, pool, platform, labels, slots, workflowSlots }: Settings, { pythons }: Programs) => ({
  ...{ name, pool, platform, version: agentVersion, labels, pythons },
  capacity: { tasks: slots, workflows: workflowSlots },
  keepsJournals: true as const,
});

/** Names that no other life of the agent gives: for processes, and for works. */
function nameSource(deps: AgentDeps): () => string {
  const life = Buffer.from(deps.random.bytes(5)).toString("hex");
  let count = 0;
  return () => `${life}.${(count++).toString(36)}`;
}
