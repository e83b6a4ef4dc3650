import { afterEach, expect } from "vitest";
import type { Trigger } from "#shared/protocol/manifest.ts";
import type { Asked } from "./clients.ts";
import { Cluster } from "./cluster.ts";
import { type FaultPlan, quiet } from "./faults.ts";
import type { Plan, Step } from "./plan.ts";
import { rest } from "./simulate.ts";
import { tellFailure } from "./tell-failure.ts";
import { setWorld } from "./world.ts";

let open: Cluster[] = [];

/** A cluster in which nothing goes wrong but what the test does to it. */
export async function stage(
  options: { seed?: number; triggers?: readonly Trigger[] } & Partial<FaultPlan> = {},
): Promise<Cluster> {
  const { seed = 1, triggers = [], ...faults } = options;
  const plan = { ...quiet, coordinators: 1, agents: 1, partitions: 1, ...faults };
  const cluster = new Cluster({ seed, faults: plan });
  open.push(cluster);
  setWorld(cluster.world);
  await cluster.begin(triggers);
  await pass(cluster, 500);
  return cluster;
}

export const pass = (cluster: Cluster, ms: number): Promise<void> =>
  cluster.scheduler.runUntil(cluster.scheduler.nowMs + ms);

const planOf = (...steps: readonly Step[]): Plan => ({ steps, restarts: 0, before: [] });

/** Opens a run, whose id is known when this resolves. */
export async function openRun(cluster: Cluster, ...steps: readonly Step[]): Promise<Asked> {
  const asked = cluster.clients.openRun(planOf(...steps));
  await cluster.scheduler.runUntil(cluster.scheduler.nowMs + 30_000, () => asked.run !== null);
  return asked;
}

/** Has the cluster come to rest, with nothing wrong. */
export async function expectRest(cluster: Cluster): Promise<void> {
  const wrong = await rest(cluster);
  if (wrong.length > 0) throw new Error(tellFailure(0, wrong, cluster.trace, 80));
  expect(wrong).toEqual([]);
}

/** What happened, of which the test makes sure that it did. */
export const said = (cluster: Cluster, what: RegExp): number =>
  cluster.trace.lines.filter((line) => what.test(`${line.node} ${line.what} ${line.detail}`)).length;

afterEach(() => {
  for (const cluster of open) cluster.close();
  open = [];
  setWorld(null);
});
