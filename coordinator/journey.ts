import { partitionOf, type RunId, runOfTask, type TaskId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Clock, Random } from "#shared/ports.ts";
import type { BlobStore } from "./blobs/blobs.ts";
import type { Engine, LogEntry } from "./engine/engine.ts";
import type { Draft } from "./engine/move.ts";
import { createMover, type GroupMover, type MoverDeps } from "./engine/mover.ts";
import { Fleet, type FleetDeps } from "./fleet/fleet.ts";
import { Growth } from "./growth.ts";
import { joinHops } from "./join-hops.ts";
import { joinPeers, newsOf } from "./join-peers.ts";
import { expireLeases } from "./leases/expire-leases.ts";
import { createLogs, type Logs } from "./logs/logs.ts";
import { Loops, type LoopsDeps } from "./loops.ts";
import type { Peers } from "./peers.ts";
import { ProgressBoard } from "./progress.ts";
import { type RunRecord, runKey } from "./records.ts";
import { createRegistry, type Registry } from "./registry/registry.ts";
import { cancelRun, forceEnd } from "./runs/cancel-run.ts";
import { type CloseDeps, closeRun } from "./runs/close-run.ts";
import { retryRun } from "./runs/retry-run.ts";
import { openRunOf } from "./runs/runs.ts";
import { signalRun } from "./runs/signal-run.ts";
import { resolveDependents } from "./settle/resolve-dependents.ts";
import type { Runs } from "./stages.ts";
import { allPartitions } from "./state/projects.ts";
import { fireTimers, type TimerDeps } from "./tasks/fire-timers.ts";
import { deliverMessage, sendEvent, walkEvents } from "./triggers/events.ts";
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
}

/** The stages of a task's journey, joined. Nothing here decides anything. */
export interface Journey {
  readonly registry: Registry;
  readonly triggers: Triggers;
  readonly runs: Runs;
  readonly logs: Logs;
  readonly progress: ProgressBoard;
  readonly mover: GroupMover;
  readonly fleet: Fleet;
  start(): void;
  close(): void;
}

/** register → trigger → run → task → lease → settle: each stage is handed its next hop. */
export function joinStages(deps: JourneyDeps): Journey {
  const { engine, blobs, clock, random } = deps;
  const partitions = allPartitions(deps.partitions);
  const leaseTtlMs = deps.leaseTtlMs ?? limits.leaseTtlMs;
  const growth = new Growth();
  const mover = createMover({
    engine,
    clock,
    random,
    couldClaim: (partition) => fleet.matching.couldClaim(partition),
    wantClaims: (partition, batch) => fleet.matching.want(partition, batch),
    onClaims: (partition, want, claims) => fleet.onClaims(partition, want, claims),
    tell: (partition, batch, want) =>
      peers?.writes(partition, [...newsOf(batch, fleet.matching.unmet(batch, want))]) ?? [],
    onUnknown: (partition) => peers?.doubt(partition),
    onApplied: (partition, drafts, positions, nowMs) => onApplied(partition, drafts, positions, nowMs),
  });

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
  const logs = createLogs({ engine, mover, clock });
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
  const loops: Loops = joinLoops({
    engine,
    clock,
    mover,
    partitions,
    logger: deps.logger,
    fleet,
    runs,
    triggers,
    peers,
  });

  const onApplied: OnApplied = (partition, drafts, positions, nowMs) => {
    for (const { run, entry } of journalEntries(drafts, positions, nowMs)) {
      fleet.onJournal(run, entry);
      growth.grew(run);
    }
    fleet.matching.onEnqueued(partition, drafts);
    loops.onApplied(partition, drafts, nowMs);
  };

  return {
    registry,
    triggers,
    runs,
    logs,
    progress,
    mover,
    fleet,
    start() {
      peers?.start();
      loops.start();
    },
    close() {
      peers?.close();
      loops.close();
      fleet.close();
      mover.close();
    },
  };
}

type OnApplied = NonNullable<MoverDeps["onApplied"]>;

/** What a commit appended to journals. */
function* journalEntries(
  drafts: readonly Draft[],
  positions: readonly (readonly number[])[],
  nowMs: number,
): Generator<{ run: RunId; entry: LogEntry }> {
  for (const [index, { writes }] of drafts.entries()) {
    let appended = 0;
    for (const write of writes) {
      if (write.kind !== "append") continue;
      const position = positions[index]?.[appended];
      appended += 1;
      const name = write.log.slice(write.log.indexOf("}") + 1);
      if (position === undefined || !name.startsWith("journal/")) continue;
      yield { run: name.slice("journal/".length) as RunId, entry: { position, atMs: nowMs, value: write.value } };
    }
  }
}

interface JoinLoops extends Pick<LoopsDeps, "engine" | "clock" | "partitions" | "logger"> {
  readonly mover: GroupMover;
  readonly fleet: Fleet;
  readonly runs: Runs;
  readonly triggers: Triggers;
  readonly peers: Peers | null;
}

function joinLoops(deps: JoinLoops): Loops {
  const { engine, mover, fleet, runs, partitions, peers } = deps;
  const events = { engine, mover, partitions: partitions.length };
  const endRun: TimerDeps["endRun"] = async (run, why) => {
    await mover.move(partitionOf(run), forceEnd, { run, why });
  };
  const cancelChild: CloseDeps["cancelChild"] = async (run, reason) => {
    // A child that restarted goes on as another run, which answers the parent in its place.
    for (let next: RunId | null = run; next; ) {
      const outcome = await runs.cancelRun({ run: next, reason, by: "parent" });
      if (outcome.kind !== "ended") return;
      const { found } = await engine.get([runKey(next)]);
      const ended = JSON.parse(found[0]?.value ?? "null") as RunRecord | null;
      next = ended?.state === "restarted" ? ended.next : null;
    }
  };
  const stopLease: CloseDeps["stopLease"] = (lease) => {
    const task = lease.task as TaskId;
    if (!fleet.stopLease(lease)) peers?.tell(partitionOf(runOfTask(task)), { t: "stop", ...lease, task });
  };
  return new Loops({
    ...deps,
    fireTimers: (partition) => fireTimers({ engine, mover, endRun }, partition),
    async expireLeases(partition) {
      await expireLeases({ engine, mover }, partition);
      await fleet.letGoLost(partition);
    },
    closeRun: (run) => closeRun({ engine, mover, stopLease, cancelChild }, run),
    resolveDependents: (task) => resolveDependents({ mover }, task),
    deliver: (partition, member, message) => deliverMessage(events, partition, member, message),
    walkEvents: (topic) => walkEvents(events, topic),
    sawQueues(partition, queues) {
      for (const queue of queues) fleet.matching.sawQueue(partition, queue);
    },
    lookAtPeers: async () => peers?.look(),
    fireTriggers: () => deps.triggers.fireDue(),
  });
}

interface RunsDeps extends JourneyDeps {
  readonly mover: GroupMover;
  readonly readCurrentRelease: Registry["readCurrentRelease"];
  readonly growth: Growth;
}

function joinRuns(deps: RunsDeps): Runs {
  const { engine, mover, growth } = deps;
  return {
    openRun: (request) => openRunOf(deps, request),
    cancelRun: (request) => mover.move(partitionOf(request.run), cancelRun, request),
    retryRun: (request) => retryRun(deps, request),
    signalRun: (request) => mover.move(partitionOf(request.run), signalRun, request),
    sendEvent: (request) => sendEvent({ engine, mover, partitions: deps.partitions }, request),
    journalGrew: (run, signal) => growth.wait(run, signal),
  };
}
