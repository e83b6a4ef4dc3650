import { describe, expect, it } from "vitest";
import { type CallKey, partitionAt, partitionOf, runOfTask, taskId } from "#shared/domain/ids.ts";
import { systemClock } from "#shared/system.ts";
import { FakeAgent, taskCall } from "../tests/support/fake-agent.ts";
import {
  childCall,
  connect,
  ended,
  expire,
  journalOf,
  meddle,
  pause,
  signal,
  signalCall,
  start,
  task,
  until,
} from "../tests/support/history-steps.ts";
import { type Engine, leaseKey, leasesIndex, queueIndex } from "./engine/engine.ts";
import { createMemoryEngine } from "./engine/memory/memory-engine.ts";
import { giveBack } from "./leases/give-back.ts";
import { edgesIndex, taskKey } from "./records.ts";

describe("a batch of moves", () => {
  it("C6 gives no answer that rests on what another move of it writes before that is durable", async () => {
    const memory = createMemoryEngine({ clock: systemClock });
    let broken = false;
    const commit: Engine["commit"] = async (...args) => {
      if (broken && args[1].length > 0) throw new Error("the disk is full");
      return memory.commit(...args);
    };
    const journey = await start({ engine: meddle(memory, { commit }) });
    const agent = await connect(journey, 0, 1);
    const run = await journey.open();
    await agent.lease();
    broken = true;
    const outcomes = await Promise.allSettled([signal(journey, run, "s1"), signal(journey, run, "s1")]);
    broken = false;
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  });

  it("C6 reads what a settlement's dependents need in few rounds, also when none of it is cached", async () => {
    const first = await start();
    const agent = await connect(first, 1, 1);
    const run = await first.open();
    const workflow = await agent.lease();
    const keys = Array.from({ length: 15 }, (_, index) => `other#${index + 1}`);
    agent.calls(workflow, [taskCall("work#1"), ...keys.map((key) => taskCall(key, { refs: ["work#1"] }))]);
    const work = await agent.lease();
    first.close();
    const second = await start({ engine: first.engine });
    const again = await connect(second, 0, 0);
    again.done(work);
    await again.next("accepted");
    for (const key of keys) expect((await task(second, run, key)).state).toBe("ready");
  });

  it("C23 fails the dependents of many dependents of a failed task", async () => {
    const journey = await start();
    const agent = await connect(journey, 1, 1);
    const run = await journey.open();
    const workflow = await agent.lease();
    const keys = Array.from({ length: 12 }, (_, index) => `other#${index + 1}`);
    agent.calls(workflow, [taskCall("work#1"), ...keys.map((key) => taskCall(key, { refs: ["work#1"] }))]);
    const work = await agent.lease();
    const far = keys.map((key) => `far${key}`);
    agent.calls(
      workflow,
      keys.map((key) => taskCall(`far${key}`, { name: "other", refs: [key] })),
    );
    await until(async () => (await task(journey, run, "farother#12")) !== null);
    agent.fail(work);
    await until(async () => (await Promise.all(far.map((key) => task(journey, run, key)))).every((t) => t.endedAtMs));
  });

  it.each(["before", "after"])(
    "C23 gives the value of a signal to a task that was given a ref to the wait for it, when it comes %s",
    async (when) => {
      const journey = await start();
      const agent = await connect(journey, 1, 1);
      const run = await journey.open();
      if (when === "before") await signal(journey, run, "s1");
      agent.calls(await agent.lease(), [signalCall(1), taskCall("other#1", { refs: ["signal:go#1"] })]);
      await until(async () => (await task(journey, run, "other#1")) !== null);
      if (when === "after") {
        expect((await task(journey, run, "other#1")).state).toBe("waiting");
        await signal(journey, run, "s1");
      }
      expect(await agent.lease()).toMatchObject({ name: "other", refs: { "signal:go#1": { json: "1" } } });
      const { rows } = await journey.engine.range(edgesIndex(taskId(run, "other#1" as CallKey)), { limit: 1 });
      expect(rows).toEqual([]);
    },
  );

  it("C24 begins waits for as many mailboxes as one frame names", async () => {
    const journey = await start();
    const agent = await connect(journey, 0, 1);
    const run = await journey.open();
    const names = Array.from({ length: 20 }, (_, index) => `go${index}`);
    agent.calls(
      await agent.lease(),
      names.map((name) => signalCall(1, { name, key: `signal:${name}#1` })),
    );
    await agent.next("accepted");
    for (const name of names) expect(await task(journey, run, `signal:${name}#1`)).toMatchObject({ state: "waiting" });
  });

  it("C24 gives signals that come together to waits that are not cached", async () => {
    const first = await start();
    const agent = await connect(first, 0, 1);
    const run = await first.open();
    const waits = Array.from({ length: 12 }, (_, index) => signalCall(index + 1));
    agent.calls(await agent.lease(), waits);
    await agent.next("accepted");
    first.close();
    const second = await start({ engine: first.engine });
    const outcomes = await Promise.all(waits.map((_, index) => signal(second, run, `s${index}`)));
    expect(outcomes.every(({ kind }) => kind === "done")).toBe(true);
    for (const { key } of waits) expect((await task(second, run, key)).state).toBe("succeeded");
  });

  it("C21 knows the calls before a call, although they are many and one of them needs a further look", async () => {
    const journey = await start();
    const agent = await connect(journey, 0, 1);
    const run = await journey.open();
    const workflow = await agent.lease();
    const works = Array.from({ length: 16 }, (_, index) => taskCall(`work#${index + 1}`));
    agent.calls(workflow, [signalCall(1), ...works, taskCall("other#1", { refs: ["work#1"] })]);
    await agent.next("accepted");
    expect(await task(journey, run, "other#1")).toMatchObject({ state: "waiting", failure: null });
  });
});

describe("a mailbox", () => {
  it("C24 gives one signal to one of the waits that are called together", async () => {
    const journey = await start();
    const agent = await connect(journey, 0, 1);
    const run = await journey.open();
    const workflow = await agent.lease();
    await signal(journey, run, "s1");
    agent.calls(workflow, [signalCall(1), signalCall(2, { timeoutMs: 20 })], 2);
    await agent.next("accepted");
    expect((await task(journey, run, "signal:go#1")).state).toBe("succeeded");
    const entries = await agent.entries((entry) => entry.e === "settled");
    expect(entries.at(-1)).toMatchObject({ key: "signal:go#2", outcome: "timedOut" });
  });
});

describe("a retry of a run", () => {
  it("C24 copies the waits that took a signal, so that none of them takes it again", async () => {
    const journey = await start();
    const agent = await connect(journey, 1, 1);
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [signalCall(1)]);
    await agent.next("accepted");
    await signal(journey, run, "s1");
    agent.calls(workflow, [taskCall("work#1")], 3);
    agent.fail(await agent.lease());
    await agent.entries((entry) => entry.e === "settled");
    agent.fail(workflow, { type: "TaskFailed" });
    await ended(journey, run);
    const again = await journey.runs.retryRun({ run, by: "test" });
    if (!again) throw new Error("a run");
    expect(await journalOf(journey, again)).toMatchObject([{ e: "opened" }, { key: "signal:go#1" }, { id: "s1" }]);
    agent.calls(await agent.lease(), [signalCall(2, { timeoutMs: 20 })], 3);
    await agent.entries((entry) => entry.e === "settled" && entry.outcome === "timedOut");
  });
});

describe("a lease", () => {
  it("C11 accepts a report after the deadline, when the task is back in its queue, and counts the attempt once", async () => {
    const journey = await start();
    const agent = await connect(journey, 1, 1);
    const run = await journey.open();
    agent.calls(await agent.lease(), [taskCall("work#1")]);
    const work = await agent.lease();
    agent.send({ t: "started", leases: [{ task: work.task, fence: work.fence }] });
    agent.credit(0, 1);
    await pause(20);
    await expire(journey, work);
    await until(async () => (await task(journey, run, "work#1")).returned);
    agent.done(work, "late");
    await until(async () => (await task(journey, run, "work#1")).endedAtMs !== null);
    const settled = await task(journey, run, "work#1");
    expect(settled).toMatchObject({ state: "succeeded", output: { json: '"late"' }, attemptsEnded: 1 });
    expect(settled.attempts).toMatchObject([{ fence: work.fence, outcome: "succeeded" }]);
    const { rows } = await journey.engine.range(queueIndex(partitionOf(run), settled.queue), { limit: 9 });
    expect(rows).toEqual([]);
  });

  it("C11 that a report has ended puts nothing into the queue, although its expiry is decided in the same batch", async () => {
    const journey = await start({ tasks: { work: { retry: { attempts: 3, backoffMs: 60_000 } } } });
    const agent = await connect(journey, 1, 1);
    const run = await journey.open();
    agent.calls(await agent.lease(), [taskCall("work#1")]);
    const work = await agent.lease();
    agent.credit(0, 1);
    agent.fail(work, { retryable: true });
    agent.send({ t: "handback", leases: [{ task: work.task, fence: work.fence }] });
    await until(async () => (await task(journey, run, "work#1")).attemptsEnded === 1);
    await pause(20);
    const delayed = await task(journey, run, "work#1");
    expect(delayed).toMatchObject({ state: "delayed", returned: false });
    const { rows } = await journey.engine.range(queueIndex(partitionOf(run), delayed.queue), { limit: 9 });
    expect(rows).toEqual([]);
  });

  it("A27 fails a task that five agents in a row were lost with", async () => {
    const journey = await start();
    const agent = await connect(journey, 1, 1);
    const run = await journey.open();
    agent.calls(await agent.lease(), [taskCall("work#1")]);
    for (let lost = 1; lost <= 5; lost += 1) {
      const work = await agent.lease();
      agent.send({ t: "started", leases: [{ task: work.task, fence: work.fence }] });
      await pause(10);
      await expire(journey, work);
      await journey.mover.move(partitionAt(0), giveBack, { task: work.task, fence: work.fence, why: "expired" });
      agent.send({ t: "renew", leases: [{ task: work.task, fence: work.fence }] });
    }
    expect(await task(journey, run, "work#1")).toMatchObject({ state: "failed", failure: { type: "AgentLost" } });
  });

  it("leaves nothing in the queue when a parked workflow is woken and its old program answers all the same", async () => {
    const journey = await start();
    const agent = await connect(journey, 0, 1);
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [signalCall(1)]);
    await agent.next("accepted");
    agent.park(workflow, 2, ["signal:go#1"]);
    await agent.next("parked");
    agent.credit(0, 0);
    await signal(journey, run, "s1");
    agent.done(workflow);
    await ended(journey, run);
    const { queue } = await task(journey, run, "@workflow");
    expect((await journey.engine.range(queueIndex(partitionOf(run), queue), { limit: 9 })).rows).toEqual([]);
  });

  it("C23 replays a workflow whose program ended before it heard that it was parked", async () => {
    const journey = await start();
    const agent = await connect(journey, 0, 1);
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [signalCall(1)]);
    await agent.next("accepted");
    agent.park(workflow, 2, ["signal:go#1"]);
    await agent.next("parked");
    const failure = { type: "ProgramExited", message: "exit 1", retryable: true };
    agent.report(workflow, { kind: "fail", failure });
    await agent.next("accepted");
    expect(await signal(journey, run, "s1")).toEqual({ kind: "done" });
    expect(await agent.lease()).toMatchObject({ task: workflow.task, attempt: 2 });
  });

  it("is let go at once when its task turns out to have ended", async () => {
    const journey = await start();
    const run = await journey.open();
    const { queue } = await task(journey, run, "@workflow");
    await journey.runs.cancelRun({ run, reason: "no", by: "test" });
    const partition = partitionOf(run);
    const record = { ...(await task(journey, run, "@workflow")), state: "cancelled" };
    const id = taskId(run, "@workflow" as CallKey);
    await journey.engine.commit(partition, [
      { checks: [], writes: [{ kind: "set", key: taskKey(id), stamp: "x", value: JSON.stringify(record) }] },
      { checks: [], writes: [{ kind: "enqueue", queue, member: id, score: { at: 0 } }] },
    ]);
    journey.close();
    await connect(await start({ engine: journey.engine }), 0, 1);
    const held = async () => (await journey.engine.range(leasesIndex(partition), { limit: 9 })).rows;
    await until(async () => (await journey.engine.get([leaseKey(partition, id)])).found[0]?.stamp !== null);
    await pause(50);
    expect(await held()).toEqual([]);
  });

  it("queueTimeoutMs holds also for a task that first waited for a ref", async () => {
    const journey = await start({ tasks: { work: {}, other: { queueTimeoutMs: 30 } } });
    const agent = await connect(journey, 1, 1);
    await journey.open();
    agent.calls(await agent.lease(), [taskCall("work#1"), taskCall("other#1", { refs: ["work#1"] })]);
    const work = await agent.lease();
    agent.credit(0, 1);
    agent.done(work);
    const entries = await agent.entries((entry) => entry.e === "settled" && entry.key === ("other#1" as CallKey));
    expect(entries.at(-1)).toMatchObject({ outcome: "failed", failure: { type: "QueueTimedOut" } });
  });
});

describe("a run's end", () => {
  it("C23 lets shielded calls be, while the run that was cancelled cleans up", async () => {
    const journey = await start();
    const agent = await connect(journey, 0, 1);
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [taskCall("work#1", { shielded: true }), taskCall("work#2")]);
    await agent.next("accepted");
    await journey.runs.cancelRun({ run, reason: "enough", by: "test" });
    await until(async () => (await task(journey, run, "work#2")).state === "cancelled");
    await pause(20);
    expect((await task(journey, run, "work#1")).state).toBe("ready");
    agent.fail(workflow, { type: "CancelledError" });
    await until(async () => (await task(journey, run, "work#1")).state === "cancelled");
  });

  it("C23 cancels the run that a child goes on as", async () => {
    const journey = await start();
    const agent = await connect(journey, 0, 2);
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [childCall()]);
    agent.report(await agent.lease(), { kind: "restart", input: { json: "6" } });
    const successor = await agent.lease();
    agent.done(workflow);
    await ended(journey, run);
    await until(async () => (await journey.read(runOfTask(successor.task))).cancel !== null);
    agent.fail(successor, { type: "CancelledError" });
    await until(async () => (await task(journey, run, "child#1")).state === "cancelled");
  });

  it("C23 does not go on as a new run when a cancel was asked for before the restart", async () => {
    const journey = await start();
    const agent = await connect(journey, 0, 1);
    const run = await journey.open();
    const workflow = await agent.lease();
    await journey.runs.cancelRun({ run, reason: "enough", by: "test" });
    agent.report(workflow, { kind: "restart", input: { json: "6" } });
    await ended(journey, run);
    expect(await journey.read(run)).toMatchObject({ state: "cancelled", next: null });
  });

  it("is the last entry of its journal, also when a detached task is tried again after it", async () => {
    const journey = await start({ tasks: { work: { retry: { attempts: 2, backoffMs: 0 } } } });
    const agent = await connect(journey, 1, 1);
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [taskCall("work#1", { detached: true })]);
    const work = await agent.lease();
    agent.done(workflow);
    await ended(journey, run);
    agent.fail(work, { retryable: true });
    agent.done(await agent.lease());
    await until(async () => (await task(journey, run, "work#1")).state === "succeeded");
    expect((await journalOf(journey, run)).at(-1)).toMatchObject({ e: "ended" });
  });

  it("leaves no edge of a task that failed with one of its refs", async () => {
    const journey = await start();
    const agent = await connect(journey, 2, 1);
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [
      taskCall("work#1"),
      taskCall("work#2"),
      taskCall("other#1", { refs: ["work#1", "work#2"] }),
    ]);
    const [first, second] = await agent.leases(2);
    if (!first || !second) throw new Error("two leases");
    agent.fail(first);
    await until(async () => (await task(journey, run, "other#1")).state === "failed");
    agent.done(second);
    await until(async () => (await task(journey, run, "work#2")).state === "succeeded");
    const edges = edgesIndex(taskId(run, "other#1" as CallKey));
    expect((await journey.engine.range(edges, { limit: 9 })).rows).toEqual([]);
  });

  it("C14 that an agent missed is told to it when it is back, for the workflow that it still executes", async () => {
    const journey = await start({ workflows: { main: { runTimeoutMs: 40 } } });
    const agent = await connect(journey, 0, 1);
    const run = await journey.open();
    const { task: id, fence } = await agent.lease();
    agent.send({ t: "leased", leases: [{ task: id, fence }] });
    await pause(10);
    agent.cut();
    await ended(journey, run);
    const again = new FakeAgent();
    journey.fleet.accept(again.socket);
    again.hello({ leases: [{ task: id, fence, given: 1 }] });
    expect(await again.next("stop")).toMatchObject({ task: id, fence });
  });

  it("C14 is told to an agent of another coordinator when it renews", async () => {
    const first = await start();
    const second = await start({ engine: first.engine });
    const agent = await connect(first, 1, 1);
    const run = await first.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [taskCall("work#1")]);
    const { task: id, fence } = await agent.lease();
    await second.runs.cancelRun({ run, reason: "enough", by: "test" });
    await until(async () => (await task(first, run, "work#1")).cancelReason !== null);
    agent.send({ t: "renew", leases: [{ task: id, fence }] });
    expect(await agent.next("stop")).toMatchObject({ task: id, fence, reason: "enough" });
  });
});
