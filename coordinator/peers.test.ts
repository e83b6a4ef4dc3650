import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { partitionFor, partitionOf } from "#shared/domain/ids.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { FakeAgent, taskCall } from "../tests/support/fake-agent.ts";
import { connect, ended, journalOf, signal, start, until } from "../tests/support/history-steps.ts";
import type { Engine } from "./engine/engine.ts";
import { createFailingEngine } from "./engine/failing/failing-engine.ts";
import { createMemoryEngine } from "./engine/memory/memory-engine.ts";
import { agentKey } from "./records.ts";

type Coordinator = Awaited<ReturnType<typeof start>>;

let engine: Engine;
let here: Coordinator;
let there: Coordinator;

const secondAgent = `agt_${"0".repeat(25)}2`;

/** Two coordinators over one engine; `lost` is the share of hints that do not arrive. */
async function startTwo(lost: number): Promise<void> {
  const memory = createMemoryEngine({ clock: systemClock });
  const faults = { dropHint: lost };
  engine = createFailingEngine(memory, { clock: systemClock, random: systemRandom, faults });
  here = await start({ engine, partitions: 4 });
  there = await start({ engine, partitions: 4, register: createMemoryEngine({ clock: systemClock }) });
}

afterEach(async () => {
  here.close();
  there.close();
  await engine.close();
});

describe.each([
  { name: "that hear each other", lost: 0 },
  { name: "whose hints are all lost", lost: 1 },
])("two coordinators $name", ({ lost }) => {
  beforeEach(() => startTwo(lost));

  it("C10 give a run that one opened to an agent of the other", async () => {
    const agent = await connect(there, 1, 1);
    const run = await here.open();
    expect((await agent.lease()).task).toBe(`${run}/@workflow`);
  });

  it("C10 let a workflow at one call tasks that agents of the other execute", async () => {
    const workflowAgent = await connect(here, 0, 1);
    const run = await here.open();
    const workflow = await workflowAgent.lease();
    const taskAgent = new FakeAgent(secondAgent);
    there.fleet.accept(taskAgent.socket);
    taskAgent.hello();
    taskAgent.credit(1, 0);
    workflowAgent.calls(workflow, [taskCall("work#1")]);
    taskAgent.done(await taskAgent.lease(), 42);
    const entries = await workflowAgent.entries((entry) => entry.e === "settled");
    expect(entries.at(-1)).toMatchObject({ key: "work#1", outcome: "succeeded", value: { json: "42" } });
    workflowAgent.done(workflow, "over");
    await ended(there, run);
    expect((await journalOf(there, run)).at(-1)).toMatchObject({ e: "ended", state: "succeeded" });
  });

  it("A28 C10 bring a signal and a cancel to the program, wherever they are given", async () => {
    const agent = await connect(here, 0, 1);
    const run = await here.open();
    const workflow = await agent.lease();
    await signal(there, run, "s1");
    await agent.entries((entry) => entry.e === "signal");
    await there.runs.cancelRun({ run, reason: "enough", by: "test" });
    await agent.entries((entry) => entry.e === "cancel");
    agent.report(workflow, {
      kind: "cancelled",
      failure: { type: "CancelledError", message: "cancelled", retryable: false },
    });
    await ended(there, run);
  });

  it("A3 C14 let the agent's later session win: no lease is given to the older one", async () => {
    const older = await connect(here, 1, 1);
    const newer = await connect(there, 1, 1);
    if (lost === 0) {
      await until(async () => older.closedWith !== null);
      expect(older.closedWith).toMatchObject({ code: 4000 });
    } else older.cut();
    const run = await here.open();
    expect((await newer.lease()).task).toBe(`${run}/@workflow`);
    expect(older.received.filter(({ t }) => t === "leases")).toEqual([]);
  });

  it("C10 wake who follows a run's journal at the other", async () => {
    const run = await here.open();
    const startedAtMs = performance.now();
    const grew = there.runs.journalGrew(run, AbortSignal.timeout(3_000));
    await signal(here, run, "s1");
    await grew;
    expect(performance.now() - startedAtMs < 1_500).toBe(lost === 0);
  });
});

describe("two coordinators", () => {
  beforeEach(() => startTwo(0));

  it("stop an attempt whose agent is connected to the other", async () => {
    const agent = await connect(here, 1, 1);
    const run = await here.open();
    agent.calls(await agent.lease(), [taskCall("work#1")]);
    const work = await agent.lease();
    agent.send({ t: "leased", leases: [{ task: work.task, fence: work.fence }] });
    await there.runs.cancelRun({ run, reason: "enough", by: "test" });
    expect(await agent.next("stop", ({ task }) => task === work.task)).toMatchObject({ fence: work.fence });
  });

  it("tell each other how far tasks are", async () => {
    const agent = await connect(here, 1, 1);
    await here.open();
    agent.calls(await agent.lease(), [taskCall("work#1")]);
    const { task, fence } = await agent.lease();
    agent.send({ t: "progress", task, fence, fraction: 0.5 });
    await until(async () => there.progress.of(task, fence) !== null);
    expect(there.progress.of(task, fence)).toMatchObject({ fraction: 0.5 });
  });

  it("C12 grant no more than an agent can take, in however many partitions it is wanted at once", async () => {
    const agent = await connect(here, 0, 3);
    const runs = await Promise.all(Array.from({ length: 12 }, () => here.open()));
    expect(new Set(runs.map(partitionOf)).size).toBeGreaterThan(1);
    const first = await agent.leases(3);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(agent.received.flatMap((frame) => (frame.t === "leases" ? frame.leases : []))).toHaveLength(3);
    for (const lease of first) agent.done(lease);
    await agent.leases(3);
  });

  it("C14 end no later session of an agent when an older one is over", async () => {
    const older = await connect(here, 1, 1);
    const newer = await connect(there, 1, 1);
    await until(async () => older.closedWith !== null);
    const [before, after] = [older, newer].map(
      ({ received }) => received.find((frame) => frame.t === "welcome")?.session,
    );
    expect(after).toBeGreaterThan(before ?? Number.NaN);
    await here.open();
    expect([here.fleet.connected(), there.fleet.connected()]).toEqual([0, 1]);
    const partition = partitionFor(4, "agent", older.id);
    const { found } = await engine.get([agentKey(partition, older.id)]);
    expect(JSON.parse(found[0]?.value ?? "null")).toMatchObject({ connected: true, session: after });
  });

  it("C14 let go of their agents when they stop: what these hold goes on at the other", async () => {
    const agent = await connect(here, 1, 1);
    const run = await here.open();
    const workflow = await agent.lease();
    agent.send({ t: "leased", leases: [{ task: workflow.task, fence: workflow.fence }] });
    await here.drain();
    expect(agent.closedWith).toMatchObject({ code: 1012 });
    const moved = new FakeAgent(agent.id);
    there.fleet.accept(moved.socket);
    moved.hello({ leases: [{ task: workflow.task, fence: workflow.fence, given: 1 }] });
    expect((await moved.next("welcome")).leases).toMatchObject([{ task: workflow.task, verdict: "keep" }]);
    moved.done(workflow);
    await ended(there, run);
  });
});
