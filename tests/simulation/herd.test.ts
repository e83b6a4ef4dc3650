import { expect, it } from "vitest";
import { Connection, type Hello } from "#agent/connection/connection.ts";
import { createTarget } from "#agent/connection/target.ts";
import { type LeaseRecord, leaseKey, leasesIndex } from "#coordinator/engine/engine.ts";
import { type AgentId, type CallKey, newRunId, partitionAt, taskId } from "#shared/domain/ids.ts";
import type { AttemptName } from "#shared/protocol/agent.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import type { Cluster } from "./cluster.ts";
import { Life } from "./life.ts";
import { pass, stage } from "./stage.ts";

const agents = 10_000;
/** So many of them hold a lease. */
const holders = 500;
const leaseTtlMs = 30_000;
const partition = partitionAt(0);

interface Light {
  readonly id: AgentId;
  readonly lease: AttemptName | null;
  session: number;
  stale: number;
}

/** Leases as they are when agents have accepted them. */
async function grantLeases(cluster: Cluster, lights: readonly Light[]): Promise<AttemptName[]> {
  const run = newRunId(partition, cluster.agentsClock, cluster.random("run"));
  const leases: AttemptName[] = [];
  for (const [index, { id, session }] of lights.entries()) {
    const task = taskId(run, `work#${index}` as CallKey);
    const enqueue = { kind: "enqueue", queue: `q${index}`, member: task, score: { at: 0 } } as const;
    const want = { holdMs: leaseTtlMs, wants: [{ holder: `${id}:${session}`, queues: [`q${index}`], take: 1 }] };
    const { claims } = await cluster.room.direct.commit(partition, [{ checks: [], writes: [enqueue] }], want);
    leases.push({ task, fence: claims[0]?.fence ?? 0 });
  }
  return leases;
}

/** The agent's own connection, and nothing behind it. */
function connect(cluster: Cluster, light: Light, index: number): void {
  const life = new Life(`h${index}.1`, cluster.scheduler, { offsetMs: 0 }, 0);
  const silent = { debug() {}, info() {}, warn() {}, error() {} };
  const random = new SeededRandom(index);
  const hello = (): Hello => ({
    ...{ t: "hello", agent: light.id, name: life.name, pool: "default", platform: "linux-x64", version: "0" },
    ...{ labels: {}, capacity: { tasks: 1, workflows: 1 }, cached: [], leases: light.lease ? [light.lease] : [] },
  });
  const connection = new Connection(
    { clock: life.clock, random, logger: silent, dial: cluster.network.dialFrom(life) },
    createTarget("sim://coordinator", "secret", random.float()),
    {
      hello,
      welcomed(welcome) {
        light.session = welcome.session;
        light.stale += welcome.leases.filter(({ verdict }) => verdict === "stale").length;
        if (light.lease) connection.renew({ t: "renew", leases: [light.lease] });
      },
      frame(frame) {
        if (frame.t === "stale") light.stale += frame.leases.length;
      },
      lost() {},
      refused() {},
    },
  );
  connection.open();
}

it("A26 10,000 agents that dial at once spread out, and none of them loses a lease over it", async () => {
  const cluster = await stage({ agents: 0, coordinators: 1, leaseTtlMs });
  const ids = Array.from({ length: agents }, (_, index) => `agt_${String(index).padStart(26, "0")}` as AgentId);
  const herd = ids.map((id): Light => ({ id, lease: null, session: 0, stale: 0 }));
  for (const [index, light] of herd.entries()) connect(cluster, light, index);
  await pass(cluster, 5_000);
  const firsts = herd.map(({ session }) => session);
  expect(firsts.every((session) => session > 0)).toBe(true);
  const leases = await grantLeases(cluster, herd.slice(0, holders));
  for (const [index, lease] of leases.entries()) Object.assign(herd[index] as Light, { lease });

  cluster.coordinators[0]?.kill();
  await pass(cluster, 4_000);
  const upAtMs = cluster.scheduler.nowMs;
  cluster.keepCoordinators();
  const arrivals = () => cluster.trace.lines.filter(({ atMs, what }) => what === "connected" && atMs > upAtMs);
  const isBack = ({ session }: Light, index: number): boolean => session > (firsts[index] ?? 0);
  await cluster.scheduler.runUntil(upAtMs + leaseTtlMs, () => herd.every(isBack));
  expect(herd.filter((light, index) => !isBack(light, index))).toEqual([]);

  // A herd comes over seconds, no tenth of one brings many of them.
  const perTenth = new Map<number, number>();
  for (const { atMs } of arrivals())
    perTenth.set(Math.floor(atMs / 100), (perTenth.get(Math.floor(atMs / 100)) ?? 0) + 1);
  expect(Math.max(...perTenth.values())).toBeLessThan(agents / 10);
  await pass(cluster, 5_000);
  expect(herd.reduce((sum, { stale }) => sum + stale, 0)).toBe(0);
  const { rows } = await cluster.room.base.range(leasesIndex(partition), { limit: agents });
  expect(rows).toHaveLength(holders);
  for (const [index, { task }] of leases.entries()) {
    const { found } = await cluster.room.base.get([leaseKey(partition, task)]);
    expect((JSON.parse(found[0]?.value ?? "{}") as LeaseRecord).holder).toBe(`${ids[index]}:${herd[index]?.session}`);
  }
}, 120_000);
