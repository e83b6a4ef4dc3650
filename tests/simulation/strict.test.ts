import { describe, expect, it } from "vitest";
import type { Cluster } from "./cluster.ts";
import { quiet } from "./faults.ts";
import { overlaps } from "./overlaps.ts";
import { drawStrictPlan } from "./plan.ts";
import type { SimAgent } from "./sim-agent.ts";
import { simulate } from "./simulate.ts";
import { expectRest, openRun, pass, said, stage } from "./stage.ts";
import { tellFailure } from "./tell-failure.ts";
import type { Execution } from "./world.ts";

/** What makes agents lose their leases, again and again. */
const every = {
  ...quiet.every,
  ...{ stopAgent: 3_000, killAgent: 8_000, rebootAgent: 12_000, loseAgent: 20_000, fullDisk: 15_000 },
  ...{ cutOff: 6_000, cutLink: 4_000, halfOpen: 5_000, lag: 6_000, killCoordinator: 10_000, stopCoordinator: 9_000 },
};
const linesShown = 60;

// After a failover nothing of the kind is executed for a while, so that one seed in five ends an attempt.
it.each([
  { from: 1, seeds: 8, failOverMs: 0 },
  { from: 11, seeds: 20, failOverMs: 8_000 },
])(
  "C17 attempts that must not overlap do not, whatever becomes of agents and coordinators ($seeds seeds from $from, failOverMs $failOverMs)",
  async ({ from, seeds, failOverMs }) => {
    let lost = 0;
    for (let seed = from; seed < from + seeds; seed += 1) {
      const faults = { every, agents: 3, leaseTtlMs: 2_000, wildForMs: 40_000 };
      const { wrong, cluster } = await simulate({ seed, failOverMs, faults, drawPlan: drawStrictPlan });
      if (wrong.length > 0) throw new Error(tellFailure(seed, wrong, cluster.trace, linesShown));
      lost += cluster.trace.lines.filter(({ detail }) => detail.includes('"kind":"lost"')).length;
    }
    expect(lost, "attempts that were ended").toBeGreaterThan(0);
  },
  240_000,
);

describe("C17 a task whose attempts must not overlap", () => {
  const [first, second] = [0, 1];
  const twoCalls = { do: "limited", width: 2, strict: true } as const;
  const strictIn = ({ world }: Cluster): Execution[] =>
    world.executions.filter(({ task }) => task.includes("/strict#"));
  async function until(cluster: Cluster, holds: () => boolean): Promise<void> {
    await cluster.scheduler.runUntil(cluster.scheduler.nowMs + 60_000, holds);
    expect(holds()).toBe(true);
  }

  /** Two agents, of which the second is away; strict tasks last long. */
  async function begin(): Promise<{ cluster: Cluster; one: SimAgent; other: SimAgent }> {
    const cluster = await stage({ agents: 2 });
    const [one, other] = [cluster.agents[first], cluster.agents[second]];
    if (!one || !other) throw new Error("two agents");
    other.crash();
    cluster.world.lastsMs = ({ task }) => (task.includes("/strict#") ? 50_000 : 10);
    await openRun(cluster, twoCalls);
    return { cluster, one, other };
  }

  async function expectNoOverlap(cluster: Cluster): Promise<void> {
    expect(overlaps(cluster.world.executions)).toEqual([]);
    cluster.unreachableFor.clear();
    cluster.world.lastsMs = null;
    await expectRest(cluster);
  }

  it("is ended by its own agent, which nobody can reach, before another has it", async () => {
    const { cluster, one, other } = await begin();
    await until(cluster, () => strictIn(cluster).length > 0);
    cluster.cutOff(one);
    other.start();
    await until(cluster, () => strictIn(cluster).some(({ process }) => process.startsWith("a2")));
    await pass(cluster, 1_000);
    await expectNoOverlap(cluster);
  });

  it("is ended by its program when its agent is stopped, which finds it lost when it goes on", async () => {
    const { cluster, one, other } = await begin();
    await until(cluster, () => strictIn(cluster).length > 0);
    one.life?.stop();
    other.start();
    await until(cluster, () => strictIn(cluster).some(({ process }) => process.startsWith("a2")));
    await pass(cluster, 2_000);
    one.life?.go();
    await expectNoOverlap(cluster);
  });

  it("is not begun by an agent to which its grant came late", async () => {
    const { cluster, one, other } = await begin();
    await until(cluster, () => said(cluster, /→ c1 .*"t":"calls".*strict#1/) > 0);
    one.life?.stop();
    other.start();
    await until(cluster, () => strictIn(cluster).some(({ process }) => process.startsWith("a2")));
    expect(said(cluster, /← c1 .*"t":"leases".*strict#1/)).toBeGreaterThan(0);
    cluster.cutOff(one);
    one.life?.go();
    await pass(cluster, 4_000);
    expect(said(cluster, /^a1\.1 ← c1 .*"t":"leases".*strict#1/)).toBeGreaterThan(0);
    await expectNoOverlap(cluster);
  });

  it("C16 is not granted anew at once when a failover has forgotten that it was granted", async () => {
    const { cluster, one, other } = await begin();
    other.start();
    await until(cluster, () => strictIn(cluster).length > 0);
    cluster.cutOff(one);
    cluster.room.failOver(50);
    await until(cluster, () => strictIn(cluster).some(({ process }) => process.startsWith("a2")));
    await pass(cluster, 1_000);
    await expectNoOverlap(cluster);
  });
});
