import { Cluster, type ClusterOptions } from "./cluster.ts";
import { leftIn, wrongIn } from "./oracles.ts";
import { setWorld } from "./world.ts";

export interface Outcome {
  readonly seed: number;
  readonly hash: string;
  /** Nothing when all is well. */
  readonly wrong: readonly string[];
  readonly virtualMs: number;
  readonly events: number;
  readonly executions: number;
  readonly runs: number;
  readonly cluster: Cluster;
}

const restsWithinMs = 600_000;
const lookEveryMs = 1_000;

/** Lets a cluster live through its faults, and come to rest after them. */
export async function simulate(options: ClusterOptions): Promise<Outcome> {
  const cluster = new Cluster(options);
  setWorld(cluster.world);
  // What would have ended a process of the cluster.
  const onUncaught = (error: unknown) => cluster.broken.push(`uncaught: ${textOf(error)}`);
  process.on("uncaughtException", onUncaught);
  process.on("unhandledRejection", onUncaught);
  let wrong: string[];
  try {
    wrong = await live(cluster);
  } catch (error) {
    wrong = [...cluster.broken, `the simulation broke: ${textOf(error)}`];
  }
  process.off("uncaughtException", onUncaught);
  process.off("unhandledRejection", onUncaught);
  cluster.close();
  setWorld(null);
  return {
    seed: options.seed,
    hash: cluster.trace.hash,
    wrong,
    virtualMs: cluster.scheduler.nowMs,
    events: cluster.scheduler.events,
    executions: cluster.world.executions.length,
    runs: cluster.clients.asked.length,
    cluster,
  };
}

const textOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));

async function live(cluster: Cluster): Promise<string[]> {
  const { scheduler, plan, meddler } = cluster;
  await cluster.begin();
  meddler.begin();
  await scheduler.runUntil(scheduler.nowMs + plan.wildForMs);
  return await rest(cluster);
}

/** Ends all faults; what is wrong with the cluster when it has come to rest, or what keeps it from that. */
export async function rest(cluster: Cluster): Promise<string[]> {
  const { scheduler, meddler, trace } = cluster;
  trace.note("world", "calm");
  cluster.wild = false;
  cluster.world.wild = false;
  cluster.room.calm();
  meddler.calm();
  for (const endMs = scheduler.nowMs + restsWithinMs; scheduler.nowMs < endMs; ) {
    await scheduler.runUntil(scheduler.nowMs + lookEveryMs);
    cluster.keepAll();
    cluster.clients.help();
    // What was just asked for is answered before it is looked.
    await scheduler.runUntil(scheduler.nowMs + 200);
    if ((await leftIn(cluster)).length === 0) return await wrongIn(cluster);
  }
  return [...(await leftIn(cluster)).map((what) => `left: ${what}`), ...cluster.broken];
}
