import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CallKey, partitionAt, partitionOf, type RunId, runOfTask, taskId } from "#shared/domain/ids.ts";
import type { Lease } from "#shared/protocol/agent.ts";
import { systemClock } from "#shared/system.ts";
import { FakeAgent, taskCall } from "../tests/support/fake-agent.ts";
import { startJourney } from "../tests/support/start-journey.ts";
import { type Engine, keyIn, leaseKey, leasesIndex, queueIndex } from "./engine/engine.ts";
import { createMemoryEngine } from "./engine/memory/memory-engine.ts";
import { giveBack } from "./leases/give-back.ts";
import { edgesIndex, type JournalRecord, journalLog, type TaskRecord, taskKey, timersIndex } from "./records.ts";
import { readJournal } from "./state/read-journal.ts";

type Started = Awaited<ReturnType<typeof startJourney>>;
let open: Started[] = [];
const unhandled: unknown[] = [];
const onUnhandled = (error: unknown) => void unhandled.push(error);

async function start(options: Parameters<typeof startJourney>[0] = {}): Promise<Started> {
  const journey = await startJourney(options);
  open.push(journey);
  return journey;
}

const agentId = (digit: number) => `agt_${"0".repeat(25)}${digit}`;

async function connect(journey: Started, tasks: number, workflows: number, digit = 1): Promise<FakeAgent> {
  const agent = new FakeAgent(agentId(digit));
  journey.fleet.accept(agent.socket);
  agent.hello();
  await agent.next("welcome");
  agent.credit(tasks, workflows);
  return agent;
}

async function task(journey: Started, run: RunId, key: string): Promise<TaskRecord> {
  const { found } = await journey.engine.get([taskKey(taskId(run, key as CallKey))]);
  return JSON.parse(found[0]?.value ?? "null") as TaskRecord;
}

async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  const startedMs = Date.now();
  while (!(await holds())) {
    if (Date.now() - startedMs > 4_000) throw new Error("it did not come to hold");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const ended = (journey: Started, run: RunId) => until(async () => (await journey.read(run)).endedAtMs !== null);
const journalOf = async (journey: Started, run: RunId) =>
  (await readJournal(journey.engine, run)).map(({ value }) => JSON.parse(value) as JournalRecord);
const signalCall = (n: number, more: object = {}) => ({
  kind: "signal",
  key: `signal:go#${n}`,
  name: "go",
  digest: "0".repeat(64),
  ...more,
});
const signal = (journey: Started, run: RunId, id: string) =>
  journey.runs.signalRun({ run, name: "go", id, value: { json: "1" }, by: "test" });
const childCall = (more: object = {}) => ({
  kind: "workflow",
  key: "child#1",
  name: "child",
  input: { json: "5" },
  digest: "0".repeat(64),
  ...more,
});

/** The engine with a call of it in other hands. */
const meddle = (engine: Engine, more: Partial<Engine>): Engine => ({
  get: engine.get.bind(engine),
  commit: engine.commit.bind(engine),
  range: engine.range.bind(engine),
  read: engine.read.bind(engine),
  listen: engine.listen.bind(engine),
  close: engine.close.bind(engine),
  ...more,
});

/** The lease's deadline has passed, as the next sweep finds. */
const expire = (journey: Started, lease: Lease) =>
  journey.engine.commit(partitionOf(runOfTask(lease.task)), [
    { checks: [], writes: [{ kind: "hold", member: lease.task, forMs: 0 }] },
  ]);

beforeEach(() => {
  process.on("unhandledRejection", onUnhandled);
});
afterEach(async () => {
  for (const journey of open) journey.close();
  open = [];
  await pause(0);
  process.off("unhandledRejection", onUnhandled);
  expect(unhandled.splice(0)).toEqual([]);
});

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

  it("fails a task that five agents in a row were lost with", async () => {
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
    agent.send({ t: "park", task: workflow.task, fence: workflow.fence, given: 2, awaiting: ["signal:go#1"] });
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
    agent.send({ t: "park", task: workflow.task, fence: workflow.fence, given: 2, awaiting: ["signal:go#1"] });
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
    agent.send({ t: "park", task: workflow.task, fence: workflow.fence, given: 1, awaiting: [] });
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
