import { partitionOf, runOfTask } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Clock, Random } from "#shared/ports.ts";
import type { BlobStore } from "./blobs/blobs.ts";
import type { Engine } from "./engine/engine.ts";
import type { GroupMover } from "./engine/mover.ts";
import { Fleet, type FleetDeps } from "./fleet/fleet.ts";
import { Growth } from "./growth.ts";
import { joinHops } from "./join-hops.ts";
import { joinLoops } from "./join-loops.ts";
import { joinMover } from "./join-mover.ts";
import { joinPeers } from "./join-peers.ts";
import { createLogs, type Logs } from "./logs/logs.ts";
import type { Loops } from "./loops.ts";
import { ProgressBoard } from "./progress.ts";
import { createRegistry, type Registry } from "./registry/registry.ts";
import type { Ages } from "./retention/ages.ts";
import { keepBlobs } from "./retention/keep-blobs.ts";
import { createRetention } from "./retention/retention.ts";
import { cancelRun } from "./runs/cancel-run.ts";
import { retryRun } from "./runs/retry-run.ts";
import { openRunOf } from "./runs/runs.ts";
import { signalRun } from "./runs/signal-run.ts";
import type { Runs } from "./stages.ts";
import type { KeptBlobs } from "./state/blob-records.ts";
import { allPartitions } from "./state/projects.ts";
import { sendEvent } from "./triggers/events.ts";
import { createTriggerPlanner, createTriggers, type Triggers } from "./triggers/triggers.ts";

export interface JourneyDeps {
  readonly engine: Engine;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly random: Random;
  /** Number of partitions: 1 on sqlite. */
  readonly partitions: number;
  /** Whether other coordinators may use the same engine: they are told, and listened to. */
  readonly shared: boolean;
  readonly logger: FleetDeps["logger"];
  /** Default: `limits`. */
  readonly leaseTtlMs?: number;
  readonly parkAfterMs?: number;
  /** How long things are kept. Default: those of `limits`. */
  readonly ages?: Partial<Ages>;
}

/** What is being committed when a coordinator stops has so long to land. */
const drainMs = 2_000;

/** The stages of a task's journey, joined. Nothing here decides anything. */
export interface Journey {
  readonly registry: Registry;
  readonly triggers: Triggers;
  readonly runs: Runs;
  readonly logs: Logs;
  readonly progress: ProgressBoard;
  readonly mover: GroupMover;
  readonly fleet: Fleet;
  /** The blob store, by which what is stored is known to be needed. */
  readonly blobs: KeptBlobs;
  start(): void;
  /** Grants nothing any more, lets what is being committed land, and sends the agents to other coordinators. */
  drain(): Promise<void>;
  close(): void;
}

/** register → trigger → run → task → lease → settle: each stage is handed its next hop. */
export function joinStages(given: JourneyDeps): Journey {
  const { engine, clock, random } = given;
  const partitions = allPartitions(given.partitions);
  const leaseTtlMs = given.leaseTtlMs ?? limits.leaseTtlMs;
  const growth = new Growth();
  const mover = joinMover(given, growth, () => ({ fleet, peers, loops }));
  const blobs = keepBlobs({ ...given, mover });
  const deps = { ...given, blobs };
  const planner = createTriggerPlanner({ clock, random });
  const registry = createRegistry({ engine, mover, blobs, partitions: deps.partitions, triggers: planner });
  const { readCurrentRelease } = registry;
  const runs = joinRuns({ ...deps, mover, readCurrentRelease, growth });
  const triggers = createTriggers({
    ...deps,
    mover,
    openRun: runs.openRun,
    readCurrentRelease,
    checkInput: registry.checkInput,
  });
  const logs = createLogs({ engine, mover, clock, blobs });
  const progress = new ProgressBoard(clock, (said) =>
    peers?.tell(partitionOf(runOfTask(said.task)), { t: "progress", ...said }),
  );
  const hops = joinHops({ ...deps, mover, registry, logs, progress, runs, leaseTtlMs });
  const parkAfterMs = deps.parkAfterMs ?? limits.parkAfterMs;
  const onGreeted: FleetDeps["onGreeted"] = (partition, agent, session) =>
    peers?.tell(partition, { t: "session", agent, session });
  const fleet = new Fleet({ ...deps, mover, partitions, hops, leaseTtlMs, parkAfterMs, onGreeted });
  const peers = deps.shared
    ? joinPeers({ ...deps, partitions, fleet, growth, logs, progress, lookAt: (partition) => loops.lookAt(partition) })
    : null;
  const retention = createRetention({ ...deps, mover, partitions, store: given.blobs });
  const loops: Loops = joinLoops({ ...deps, mover, partitions, fleet, runs, triggers, peers, retention });

  return {
    registry,
    triggers,
    runs,
    logs,
    progress,
    mover,
    fleet,
    blobs,
    start() {
      peers?.start();
      loops.start();
    },
    async drain() {
      loops.close();
      fleet.matching.stop();
      await Promise.race([mover.rest(), new Promise<void>((resolve) => clock.after(drainMs, resolve))]);
      fleet.close();
    },
    close() {
      peers?.close();
      loops.close();
      fleet.close();
      mover.close();
    },
  };
}

interface RunsDeps extends JourneyDeps {
  readonly blobs: KeptBlobs;
  readonly mover: GroupMover;
  readonly readCurrentRelease: Registry["readCurrentRelease"];
  readonly growth: Growth;
}

function joinRuns(deps: RunsDeps): Runs {
  const { engine, mover, blobs, growth } = deps;
  return {
    // Values that come from outside may name what was stored long ago.
    async openRun(request) {
      await blobs.touch([request.input]);
      return openRunOf(deps, request);
    },
    cancelRun: (request) => mover.move(partitionOf(request.run), cancelRun, request),
    retryRun: (request) => retryRun(deps, request),
    async signalRun(request) {
      await blobs.touch([request.value]);
      return mover.move(partitionOf(request.run), signalRun, request);
    },
    async sendEvent(request) {
      await blobs.touch([request.value]);
      return sendEvent({ engine, mover, partitions: deps.partitions }, request);
    },
    journalGrew: (run, signal) => growth.wait(run, signal),
  };
}
