import type { Engine } from "#coordinator/engine/engine.ts";
import { type RunRecord, runKey } from "#coordinator/records.ts";
import { type Partition, partitionAt, type RunId } from "#shared/domain/ids.ts";
import type { Clock } from "#shared/ports.ts";
import type { Trigger } from "#shared/protocol/manifest.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { Clients } from "./clients.ts";
import { EngineRoom } from "./engine-room.ts";
import { drawFaults, type FaultPlan } from "./faults.ts";
import { Life } from "./life.ts";
import { Meddler } from "./meddler.ts";
import { Network } from "./network.ts";
import { drawPlan, type Plan } from "./plan.ts";
import { allRuns } from "./recount.ts";
import { register } from "./register.ts";
import { Scheduler } from "./scheduler.ts";
import { SimAgent } from "./sim-agent.ts";
import { SharedBlobs } from "./sim-blobs.ts";
import { SimCoordinator } from "./sim-coordinator.ts";
import { SimMachine } from "./sim-machine.ts";
import { Trace } from "./trace.ts";
import { World } from "./world.ts";
import "./project.ts";

export interface ClusterOptions {
  readonly seed: number;
  /** In place of what the seed would draw. */
  readonly faults?: Partial<FaultPlan>;
  /** Mean milliseconds between failovers of the engine. Default: none. */
  readonly failOverMs?: number;
  /** What runs that are opened by chance do. Default: anything. */
  readonly drawPlan?: (random: SeededRandom) => Plan;
}

/** A whole cluster on virtual time, which does the same for the same seed. */
export class Cluster {
  readonly scheduler = new Scheduler();
  readonly trace = new Trace(() => this.scheduler.nowMs);
  readonly plan: FaultPlan;
  readonly partitions: readonly Partition[];
  readonly room: EngineRoom;
  readonly network: Network;
  readonly blobs: SharedBlobs;
  readonly world: World;
  readonly clients: Clients;
  readonly agents: SimAgent[];
  coordinators: SimCoordinator[] = [];
  /** Agents that find no way to a coordinator. */
  readonly unreachableFor = new Set<string>();
  /** What should never have been said. */
  readonly broken: string[] = [];
  readonly meddler: Meddler;
  readonly random: (purpose: string) => SeededRandom;
  readonly #ownRandom: SeededRandom;
  #started = 0;
  wild = true;
  readonly #onBroken = (what: string): void => {
    this.trace.note("world", "WRONG", what);
    this.broken.push(what);
  };

  constructor({ seed, faults, failOverMs = 0, drawPlan: draw = drawPlan }: ClusterOptions) {
    this.random = (purpose) => new SeededRandom(mix(seed, purpose));
    const plan = { ...drawFaults(this.random("plan")), ...faults };
    this.plan = failOverMs > 0 ? { ...plan, every: { ...plan.every, failOver: failOverMs } } : plan;
    this.#ownRandom = this.random("cluster");
    const { scheduler, trace } = this;
    const onBroken = this.#onBroken;
    this.partitions = Array.from({ length: plan.partitions }, (_, index) => partitionAt(index));
    this.room = new EngineRoom({ scheduler, trace, random: this.random("engine"), faults: plan.engine });
    this.blobs = new SharedBlobs(this.random("blobs"));
    this.world = new World({ trace, random: this.random("world"), faults: plan.task, nowMs: () => scheduler.nowMs });
    this.network = new Network({
      scheduler,
      trace,
      random: this.random("network"),
      route: (from) => (this.unreachableFor.has(from.split(".")[0] ?? "") ? null : this.anyCoordinator()),
      onWrong: onBroken,
      isLive: ({ task, fence }) => this.room.isLive(task, fence),
    });
    this.clients = new Clients({
      ...{ scheduler, trace, onBroken },
      random: this.random("clients"),
      anyCoordinator: () => this.anyCoordinator(),
      partition: partitionAt(0),
      drawPlan: draw,
      latestOf: (run) => latestOf(this.room.base, run),
      retriesOf: (run) => retriesOf(this, run),
    });
    this.agents = Array.from({ length: plan.agents }, (_, index) => this.#agent(index));
    this.meddler = new Meddler(this, this.random("meddler"));
  }

  /** A clock like those of the agents' machines. */
  get agentsClock(): Clock {
    return new Life("clock", this.scheduler, { offsetMs: Date.UTC(2026, 0, 1) }, 0).clock;
  }

  /** No connection to the agent is left, and no new one is made; what was on its way to it arrives. */
  cutOff({ machine }: SimAgent): void {
    this.unreachableFor.add(machine.name);
    for (const connection of this.network.open) {
      if (connection.clientName.startsWith(`${machine.name}.`))
        connection.cut({ loseUp: true, loseDown: false, lateMs: 100 });
    }
  }

  /** Any that is there; one that hangs is dialled too. */
  anyCoordinator(): SimCoordinator | null {
    const living = this.coordinators.filter(({ life, draining }) => life.alive && !draining);
    return living[this.#ownRandom.between(0, living.length - 1)] ?? null;
  }

  async begin(triggers: readonly Trigger[] = []): Promise<void> {
    await register(this, triggers);
    this.keepCoordinators();
    for (const agent of this.agents) agent.start();
  }

  /** Starts coordinators up to the number that there are to be. */
  keepCoordinators(): void {
    this.coordinators = this.coordinators.filter(({ life }) => life.alive);
    while (this.coordinators.filter(({ draining }) => !draining).length < this.plan.coordinators)
      this.#startCoordinator();
  }

  /** Starts who is away and is to come back. */
  keepAll(): void {
    this.keepCoordinators();
    for (const agent of this.agents) if (!agent.isUp && !agent.gone) agent.start();
  }

  #startCoordinator(): void {
    this.#started += 1;
    const { scheduler, trace, room, blobs, plan } = this;
    this.coordinators.push(
      new SimCoordinator({
        ...{ scheduler, trace, room, blobs },
        name: `c${this.#started}`,
        seed: this.#ownRandom.between(0, 2 ** 31),
        partitions: plan.partitions,
        leaseTtlMs: plan.leaseTtlMs,
        shared: plan.coordinators > 1,
        skewMs: this.#ownRandom.between(-86_400_000, 86_400_000),
        onBroken: this.#onBroken,
      }),
    );
  }

  #agent(index: number): SimAgent {
    const { scheduler, trace, network, blobs, world } = this;
    const name = `a${index + 1}`;
    const random = this.random(name);
    const machine = new SimMachine({ ...{ name, scheduler, trace, network, blobs, world, random } });
    return new SimAgent({
      ...{ machine, trace },
      seed: () => random.between(0, 2 ** 31),
      slots: random.between(1, 3),
      workflowSlots: random.between(1, 4),
      onBroken: this.#onBroken,
    });
  }

  close(): void {
    for (const agent of this.agents) agent.crash();
    for (const coordinator of this.coordinators) coordinator.kill();
  }
}

/** The run that a restarted one goes on as. */
export async function latestOf(engine: Engine, run: RunId): Promise<RunId> {
  for (let latest = run; ; ) {
    const { found } = await engine.get([runKey(latest)]);
    const record = JSON.parse(found[0]?.value ?? "null") as RunRecord | null;
    if (record?.state !== "restarted" || record.next === null) return latest;
    latest = record.next;
  }
}

async function retriesOf(cluster: Cluster, run: RunId): Promise<RunId[]> {
  const runs = await allRuns(cluster);
  const { found } = await cluster.room.base.get(runs.map(runKey));
  return runs.filter((_, index) => (JSON.parse(found[index]?.value ?? "null") as RunRecord | null)?.previous === run);
}

function mix(seed: number, purpose: string): number {
  let mixed = seed | 0;
  for (const char of purpose) mixed = Math.imul(mixed ^ char.charCodeAt(0), 0x9e3779b1) ^ (mixed >>> 15);
  return mixed;
}
