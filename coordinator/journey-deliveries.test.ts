import { describe, expect, it } from "vitest";
import { type CallKey, partitionAt, partitionOf, taskId } from "#shared/domain/ids.ts";
import { systemClock } from "#shared/system.ts";
import { FakeAgent, taskCall } from "../tests/support/fake-agent.ts";
import { connect, meddle, pause, signal, start, task, until } from "../tests/support/history-steps.ts";
import { type Engine, keyIn, leasesIndex } from "./engine/engine.ts";
import { createMemoryEngine } from "./engine/memory/memory-engine.ts";
import { giveBack } from "./leases/give-back.ts";
import { journalLog, timersIndex } from "./records.ts";

describe("a journal's feed", () => {
  /** Reads of journals wait until they are let go on. */
  function slowReads() {
    const memory = createMemoryEngine({ clock: systemClock });
    let gate: Promise<unknown> = Promise.resolve();
    let letGo = () => {};
    const read: Engine["read"] = async (...args) => {
      const entries = await memory.read(...args);
      if (args[0].includes("journal/")) await gate;
      return entries;
    };
    return {
      engine: meddle(memory, { read }),
      hold: () => {
        gate = new Promise<void>((resolve) => {
          letGo = resolve;
        });
      },
      letGo: () => letGo(),
    };
  }

  const given = (agent: FakeAgent, lease: { fence: number }) =>
    agent.received.flatMap((frame) =>
      frame.t === "settled" && frame.fence === lease.fence ? frame.entries.map(({ p }) => p) : [],
    );

  it("begins after the lease, and gives each entry once, although the journal grows while it is read", async () => {
    const { engine, hold, letGo } = slowReads();
    const journey = await start({ engine });
    const agent = await connect(journey, 0, 1);
    hold();
    const run = await journey.open();
    await until(async () => (await engine.range(leasesIndex(partitionAt(0)), { limit: 1 })).rows.length > 0);
    for (const id of ["s1", "s2"]) {
      await signal(journey, run, id);
      await pause(5);
    }
    letGo();
    const lease = await agent.lease();
    await until(() => given(agent, lease).includes(3));
    await pause(20);
    expect(given(agent, lease)).toEqual([1, 2, 3]);
    expect(agent.received.findIndex(({ t }) => t === "settled")).toBeGreaterThan(
      agent.received.findIndex(({ t }) => t === "leases"),
    );
  });

  it("misses no entry that is appended while it looks for others in vain", async () => {
    const { engine, hold, letGo } = slowReads();
    const journey = await start({ engine });
    const agent = await connect(journey, 0, 1);
    const run = await journey.open();
    const lease = await agent.lease();
    await until(() => given(agent, lease).includes(1));
    agent.cut();
    hold();
    const again = new FakeAgent();
    journey.fleet.accept(again.socket);
    again.hello({ leases: [{ task: lease.task, fence: lease.fence, given: 1 }] });
    await again.next("welcome");
    await pause(5);
    await signal(journey, run, "s1");
    await pause(5);
    letGo();
    await until(() => given(again, lease).includes(2));
    expect(given(again, lease)).toEqual([2]);
  });

  it("goes on after the engine did not answer", async () => {
    const memory = createMemoryEngine({ clock: systemClock });
    let broken = false;
    const read: Engine["read"] = async (...args) => {
      if (broken) throw new Error("the engine did not answer");
      return memory.read(...args);
    };
    const journey = await start({ engine: meddle(memory, { read }) });
    const agent = await connect(journey, 0, 1);
    const run = await journey.open();
    const lease = await agent.lease();
    await until(() => given(agent, lease).includes(1));
    broken = true;
    // Another coordinator appends, so that this one has to read.
    await memory.commit(partitionOf(run), [
      { checks: [], writes: [{ kind: "append", log: journalLog(run), value: '{"e":"cancel","reason":"","by":""}' }] },
    ]);
    await signal(journey, run, "s1");
    await pause(30);
    broken = false;
    await until(() => given(agent, lease).includes(3));
    expect(given(agent, lease)).toEqual([1, 2, 3]);
  });
});

describe("two coordinators", () => {
  it("C6 do not take a stale record for a ref's output, nor for what a workflow awaits", async () => {
    const first = await start();
    const second = await start({ engine: first.engine });
    const workflows = await connect(first, 0, 1);
    const run = await first.open();
    const workflow = await workflows.lease();
    workflows.calls(workflow, [taskCall("work#1"), taskCall("other#1", { refs: ["work#1"] })]);
    await workflows.next("accepted");
    const tasks = await connect(second, 1, 0, 2);
    const work = await tasks.lease();
    tasks.credit(0, 0);
    tasks.done(work, "made there");
    await until(async () => (await task(first, run, "other#1")).state === "ready");
    workflows.credit(1, 1);
    expect((await workflows.lease()).refs).toEqual({ "work#1": { json: '"made there"' } });
    workflows.send({ t: "await", task: workflow.task, fence: workflow.fence, keys: ["work#1"] });
    expect((await workflows.next("values")).values).toEqual({ "work#1": { json: '"made there"' } });
  });

  it("lease what the other has published since one of them saw that it was not there", async () => {
    const first = await start();
    const second = await start({ engine: first.engine });
    const workflows = await connect(first, 0, 1);
    await first.open();
    const workflow = await workflows.lease();
    const tasks = await connect(second, 0, 0, 2);
    tasks.calls({ ...workflow, fence: workflow.fence - 1 }, [taskCall("work#1")]);
    await tasks.next("stale");
    workflows.calls(workflow, [taskCall("work#1")]);
    await workflows.next("accepted");
    tasks.credit(1, 0);
    expect(await tasks.lease()).toMatchObject({ name: "work" });
  });

  it("C6 believe no decision that threw over records from different times", async () => {
    const first = await start();
    const second = await start({ engine: first.engine });
    const agent = await connect(first, 0, 1);
    const run = await first.open();
    const workflow = await agent.lease();
    agent.park(workflow, 1, []);
    await agent.next("parked");
    agent.credit(0, 0);
    await signal(second, run, "s1");
    // The first reads the workflow's task anew, and has the run from when it was parked.
    await first.mover.move(partitionAt(0), giveBack, { task: workflow.task, fence: workflow.fence, why: "handback" });
    expect(await signal(first, run, "s2")).toEqual({ kind: "done" });
  });

  it("C2 take their time from the engine, however wrong their own clocks are", async () => {
    const engine = createMemoryEngine({ clock: systemClock });
    const ahead = { ...systemClock, nowMs: () => systemClock.nowMs() + 24 * 3600_000 };
    const journey = await start({ engine, clock: ahead });
    const agent = await connect(journey, 1, 1);
    const run = await journey.open();
    agent.calls(await agent.lease(), [taskCall("work#1")]);
    agent.done(await agent.lease());
    await until(async () => (await task(journey, run, "work#1")).endedAtMs !== null);
    expect((await task(journey, run, "work#1")).endedAtMs).toBeLessThan(systemClock.nowMs() + 60_000);
  });
});

describe("a wait for an event", () => {
  const wait = { kind: "event", key: "event:paid#1", name: "paid", match: { "/order": 7 }, digest: "0".repeat(64) };
  const event = { project: "demo", name: "paid", by: "test" };
  const subscriptions = keyIn(partitionAt(0), "subscriptions/demo/paid");

  it("C24 leaves no subscription when it times out", async () => {
    const journey = await start();
    const agent = await connect(journey, 0, 1);
    await journey.open();
    agent.calls(await agent.lease(), [{ ...wait, timeoutMs: 20 }]);
    await agent.entries((entry) => entry.e === "settled");
    await until(async () => (await journey.engine.range(subscriptions, { limit: 9 })).rows.length === 0);
    expect((await journey.engine.range(timersIndex(partitionAt(0)), { limit: 9 })).rows).toEqual([]);
  });

  it("C24 finds the event although a thousand others came before its subscription was delivered", async () => {
    const journey = await start();
    const agent = await connect(journey, 0, 1);
    const run = await journey.open();
    agent.calls(await agent.lease(), [wait]);
    const count = async (name: string) =>
      (await journey.engine.range(keyIn(partitionAt(0), name), { limit: 9 })).rows.length;
    await until(async () => (await count("subscriptions/demo/paid")) === 1 && (await count("outbox")) === 0);
    const id = taskId(run, "event:paid#1" as CallKey);
    const index = keyIn(partitionAt(0), "outbox");
    await journey.engine.commit(partitionAt(0), [
      { checks: [], writes: [{ kind: "unrank", index: subscriptions, member: id }] },
    ]);
    await journey.runs.sendEvent({ ...event, id: "e0", value: { json: '{"order":7}' } });
    const others = Array.from({ length: 1_200 }, (_, n) => ({ ...event, id: `x${n}`, value: { json: "{}" } }));
    await Promise.all(others.map((other) => journey.runs.sendEvent(other)));
    await until(async () => (await count("walks")) === 0);
    const { createdAtMs } = await task(journey, run, "event:paid#1");
    const { match } = wait;
    const message = { kind: "subscribe", project: "demo", name: "paid", task: id, match, sinceMs: createdAtMs };
    const write = { kind: "rank", index, member: "m", score: { at: 0 }, value: JSON.stringify(message) } as const;
    await journey.engine.commit(partitionAt(0), [{ checks: [], writes: [write] }]);
    await until(async () => (await task(journey, run, "event:paid#1")).state === "succeeded");
  });
});

describe("a connection", () => {
  it("C14 a lease that is reported while its renewal waits for others is over, and only one that was never held is stale", async () => {
    const journey = await start();
    const agent = await connect(journey, 1, 1);
    await journey.open();
    agent.calls(await agent.lease(), [taskCall("work#1")]);
    const { task: id, fence } = await agent.lease();
    agent.send({ t: "renew", leases: [{ task: id, fence }] });
    agent.done({ task: id, fence });
    agent.send({ t: "renew", leases: [{ task: id, fence: fence - 1 }] });
    await agent.next("stale");
    expect(agent.received.filter(({ t }) => t === "stale")).toEqual([
      { t: "stale", leases: [{ task: id, fence: fence - 1 }] },
    ]);
  });

  it("that could not be greeted is forgotten", async () => {
    const memory = createMemoryEngine({ clock: systemClock });
    let broken = false;
    const range: Engine["range"] = async (index, query) => {
      if (broken && index.endsWith("leases")) throw new Error("the engine did not answer");
      return memory.range(index, query);
    };
    const journey = await start({ engine: meddle(memory, { range }) });
    (await connect(journey, 1, 1)).cut();
    await until(() => journey.fleet.connected() === 0);
    broken = true;
    const again = new FakeAgent();
    journey.fleet.accept(again.socket);
    again.hello();
    await until(() => again.closedWith !== null);
    await until(() => journey.fleet.connected() === 0);
  });
});
