import { describe, expect, it } from "vitest";
import { partitionAt, type RunId, taskId, workflowKey } from "#shared/domain/ids.ts";
import type { Entry } from "#shared/protocol/common.ts";
import { entryMark } from "#shared/protocol/entry-mark.ts";
import { systemClock } from "#shared/system.ts";
import type { FakeAgent } from "../tests/support/fake-agent.ts";
import {
  connect,
  ended,
  meddle,
  pause,
  type Started,
  signal,
  signalCall,
  start,
  task,
  until,
} from "../tests/support/history-steps.ts";
import { type Engine, queuesIndex } from "./engine/engine.ts";
import { createMemoryEngine } from "./engine/memory/memory-engine.ts";
import { timersIndex } from "./records.ts";

describe("C25 a parked workflow that wakes", () => {
  const partition = partitionAt(0);

  /** A workflow that has waited for a signal, and was let go by this agent. */
  async function parked(journey: Started, agent: FakeAgent): Promise<RunId> {
    const run = await journey.open();
    const lease = await agent.lease();
    agent.calls(lease, [signalCall(1)]);
    await agent.entries((entry) => entry.e === "called");
    agent.park(lease, 2, ["signal:go#1"]);
    await agent.next("parked");
    return run;
  }

  async function leftIn(engine: Engine): Promise<string[]> {
    const indexes = [queuesIndex(partition), timersIndex(partition)];
    const rows = await Promise.all(indexes.map((index) => engine.range(index, { limit: 10 })));
    return rows.flatMap(({ rows }) => rows.map(({ member }) => member));
  }

  const grants = (agent: FakeAgent) => agent.received.filter(({ t }) => t === "leases").length;

  it("goes to the agent that had it, whoever else is free", async () => {
    const journey = await start();
    const mine = await connect(journey, 0, 1, 1);
    const run = await parked(journey, mine);
    const others = await Promise.all([2, 3, 4].map((digit) => connect(journey, 0, 4, digit)));
    for (let round = 1; round <= 5; round += 1) {
      await signal(journey, run, `s${round}`);
      const lease = await mine.lease();
      mine.park(lease, 2 + round, ["signal:other#1"]);
      await mine.next("parked");
    }
    expect(others.map(grants)).toEqual([0, 0, 0]);
    await until(async () => (await leftIn(journey.engine)).length === 0);
  });

  it("goes to another at once when a lone coordinator knows that that agent is gone", async () => {
    const journey = await start();
    const mine = await connect(journey, 0, 1, 1);
    const run = await parked(journey, mine);
    mine.cut();
    const other = await connect(journey, 0, 1, 2);
    await signal(journey, run, "s1");
    expect((await other.lease()).task).toBe(taskId(run, workflowKey));
    expect((await task(journey, run, workflowKey)).queue).not.toContain("agt_");
    expect(await leftIn(journey.engine)).toEqual([]);
  });

  it("goes to another after half a second when that agent is full, and is in no queue besides", async () => {
    const journey = await start();
    const mine = await connect(journey, 0, 1, 1);
    const run = await parked(journey, mine);
    mine.credit(0, 0);
    const other = await connect(journey, 0, 1, 2);
    const wokenAtMs = performance.now();
    await signal(journey, run, "s1");
    await other.lease();
    expect(performance.now() - wokenAtMs).toBeGreaterThan(450);
    expect(await leftIn(journey.engine)).toEqual([]);
    mine.credit(0, 1);
    await pause(20);
    expect(grants(mine)).toBe(1);
  });

  it("goes to another after half a second when that agent was at another coordinator, which is gone", async () => {
    const engine = createMemoryEngine({ clock: systemClock });
    const first = await start({ engine });
    const mine = await connect(first, 0, 1, 1);
    const run = await parked(first, mine);
    first.close();
    const second = await start({ engine });
    const other = await connect(second, 0, 1, 2);
    await signal(second, run, "s1");
    expect((await task(second, run, workflowKey)).queue).toContain(mine.id);
    expect((await other.lease()).task).toBe(taskId(run, workflowKey));
    expect((await task(second, run, workflowKey)).queue).not.toContain(mine.id);
    expect(await leftIn(engine)).toEqual([]);
  });

  it("finds its agent at another coordinator than the one that wakes it", async () => {
    const engine = createMemoryEngine({ clock: systemClock });
    const [first, second] = [await start({ engine }), await start({ engine })];
    const mine = await connect(first, 0, 1, 1);
    const run = await parked(first, mine);
    const other = await connect(second, 0, 1, 2);
    await signal(second, run, "s1");
    await mine.lease();
    expect(grants(other)).toBe(0);
  });

  it("is no longer waited for when its agent gives it back", async () => {
    const journey = await start();
    const mine = await connect(journey, 0, 1, 1);
    const run = await parked(journey, mine);
    const other = await connect(journey, 0, 1, 2);
    await signal(journey, run, "s1");
    const { task: id, fence } = await mine.lease();
    mine.send({ t: "credit", tasks: 0, workflows: 0 }, { t: "handback", leases: [{ task: id, fence }] });
    expect((await other.lease()).task).toBe(id);
  });

  it("leaves nothing behind when its run ends while it waits for its agent", async () => {
    const journey = await start({ workflows: { main: { runTimeoutMs: 300 } } });
    const mine = await connect(journey, 0, 1, 1);
    const run = await parked(journey, mine);
    mine.credit(0, 0);
    await signal(journey, run, "s1");
    expect((await task(journey, run, workflowKey)).queue).toContain(mine.id);
    await ended(journey, run);
    expect(await journey.engine.range(queuesIndex(partition), { limit: 1 })).toMatchObject({ rows: [] });
    await until(async () => (await leftIn(journey.engine)).length === 0);
  });

  describe("C22 at an agent that keeps journals", () => {
    /** Such a workflow, let go with two entries by an agent with one slot. */
    async function startKeeping(): Promise<{ journey: Started; mine: FakeAgent; run: RunId }> {
      const journey = await start();
      const mine = await connect(journey, 0, 1, 1, { keepsJournals: true });
      return { journey, mine, run: await parked(journey, mine) };
    }
    const positions = (entries: readonly Entry[]) => entries.map(({ p }) => p);
    const isLast = (p: number) => (entry: Entry) => entry.p === p;

    it("is given what came since, with the mark of the last entry that it had", async () => {
      const { journey, mine, run } = await startKeeping();
      const seen = mine.received.flatMap((frame) => (frame.t === "settled" ? frame.entries : []));
      await signal(journey, run, "s1");
      const lease = await mine.lease();
      expect(lease).toMatchObject({ journalEnd: 3, kept: { p: 2, mark: entryMark(seen[1] as Entry) } });
      expect(positions(await mine.entries(isLast(3)))).toEqual([3]);
    });

    it("is given all of it once more when the agent lacks it, and then what follows", async () => {
      const { journey, mine, run } = await startKeeping();
      await signal(journey, run, "s1");
      const lease = await mine.lease();
      await mine.entries(isLast(3));
      mine.send({ t: "lacks", task: lease.task, fence: lease.fence });
      expect(positions(await mine.entries(isLast(3)))).toEqual([1, 2, 3]);
      await signal(journey, run, "s2");
      expect(positions(await mine.entries(isLast(4)))).toEqual([4]);
    });

    it("is given all of it by another agent, and by one that keeps nothing", async () => {
      const { journey, mine, run } = await startKeeping();
      mine.cut();
      const other = await connect(journey, 0, 1, 2, { keepsJournals: true });
      await signal(journey, run, "s1");
      expect(await other.lease()).not.toHaveProperty("kept");
      expect(positions(await other.entries(isLast(3)))).toEqual([1, 2, 3]);
      const second = await start();
      const plain = await connect(second, 0, 1, 1);
      await signal(second, await parked(second, plain), "s1");
      expect(await plain.lease()).not.toHaveProperty("kept");
    });

    it("C16 is given all of it when the engine has lost the entries that it had", async () => {
      const memory = createMemoryEngine({ clock: systemClock });
      const lost = (log: string, after: number) => log.includes("}journal/") && after === 1;
      const read: Engine["read"] = async (log, after, ...rest) =>
        lost(log, after) ? [] : memory.read(log, after, ...rest);
      const journey = await start({ engine: meddle(memory, { read }) });
      const mine = await connect(journey, 0, 1, 1, { keepsJournals: true });
      const run = await parked(journey, mine);
      await signal(journey, run, "s1");
      expect(await mine.lease()).not.toHaveProperty("kept");
      expect(positions(await mine.entries(isLast(3)))).toEqual([1, 2, 3]);
    });
  });

  it("goes on as a new run that any agent may have", async () => {
    const journey = await start();
    const mine = await connect(journey, 0, 1, 1);
    const run = await parked(journey, mine);
    await signal(journey, run, "s1");
    const lease = await mine.lease();
    mine.credit(0, 0);
    const other = await connect(journey, 0, 1, 2);
    mine.report(lease, { kind: "restart", input: { json: "2" } }, { given: 3 });
    expect((await other.lease()).input).toEqual({ json: "2" });
  });
});
