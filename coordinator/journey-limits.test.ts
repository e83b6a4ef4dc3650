import { describe, expect, it } from "vitest";
import { type CallKey, type Partition, type RunId, taskId } from "#shared/domain/ids.ts";
import type { Lease } from "#shared/protocol/agent.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { type FakeAgent, taskCall } from "../tests/support/fake-agent.ts";
import {
  connect,
  meddle,
  pause,
  type Started,
  start as startJourney,
  task,
  until,
} from "../tests/support/history-steps.ts";
import { WrittenKeys } from "../tests/support/watched-engine.ts";
import type { Engine, Key, Transaction } from "./engine/engine.ts";
import { createMemoryEngine } from "./engine/memory/memory-engine.ts";
import { createMover } from "./engine/mover.ts";
import { deliverSlot } from "./limits/deliver-slot.ts";
import { createSlotWatch } from "./limits/look-after-slots.ts";
import { addWaiter } from "./limits/serve-limit.ts";
import { holdersIndex, limitOf, limitsIndex, slotMember, slotsIndex, waitersIndex } from "./state/limit-records.ts";
import { type Message, outboxIndex, type SlotMessage } from "./state/messages.ts";
import { allPartitions } from "./state/projects.ts";

describe.each([1, 5])("C17 a limit, over %i partitions", (partitions) => {
  const limit = limitOf(partitions, { project: "demo", name: "gpu" });
  const two = { limit: { name: "gpu", max: 2 } };
  const types = {
    work: two,
    other: {},
    hasty: { ...two, queueTimeoutMs: 30 },
    again: { ...two, retry: { attempts: 2 } },
  };

  const start = (engine = createMemoryEngine({ clock: systemClock })) =>
    startJourney({ partitions, engine, tasks: types });

  const membersOf = async (engine: Engine, index: Key) =>
    (await engine.range(index, { limit: 100 })).rows.map(({ member }) => member);

  async function counts({ engine }: Started) {
    const [held, waiting] = [holdersIndex(limit), waitersIndex(limit)].map((index) => membersOf(engine, index));
    return { held: (await held)?.length, waiting: (await waiting)?.length };
  }

  /** Nothing of a limit is left, nor of what was to be said about it. */
  async function expectNothingLeft({ engine }: Started): Promise<void> {
    const indexes = allPartitions(partitions).flatMap((one) => [slotsIndex(one), limitsIndex(one), outboxIndex(one)]);
    const left = async () =>
      (
        await Promise.all([...indexes, holdersIndex(limit), waitersIndex(limit)].map((i) => membersOf(engine, i)))
      ).flat();
    await until(async () => (await left()).length === 0);
  }

  /** Several runs, of which each calls tasks under the limit; answers their workflows' leases. */
  async function openRuns(journey: Started, agent: FakeAgent, calls: readonly (readonly object[])[]): Promise<Lease[]> {
    for (const _ of calls) await journey.open();
    const workflows = await agent.leases(calls.length);
    for (const [index, workflow] of workflows.entries()) {
      const some = calls[index] ?? [];
      if (some.length > 0) agent.calls(workflow, some);
    }
    return workflows;
  }

  const runOf = ({ task }: Lease): RunId => task.slice(0, 32) as RunId;

  /** The tasks that are leased, one after another, each ended before the next is looked for; two at most at once. */
  async function workThrough(journey: Started, agent: FakeAgent, total: number): Promise<Lease[]> {
    const done: Lease[] = [];
    const held: Lease[] = [];
    while (done.length < total) {
      while (held.length < Math.min(2, total - done.length)) held.push(await agent.lease());
      expect((await counts(journey)).held).toBeLessThanOrEqual(2);
      const [first] = held.splice(0, 1);
      if (!first) throw new Error("a lease is held");
      agent.done(first);
      done.push(first);
    }
    return done;
  }

  it("lets so many be ready or running at once, over all runs, and the next when one has ended", async () => {
    const journey = await start();
    const agent = await connect(journey, 100, 100);
    const calls = [1, 2, 3].map((run) =>
      [1, 2, 3].map((n) => taskCall(`work#${n}`, { input: { json: `"${run}.${n}"` } })),
    );
    const workflows = await openRuns(journey, agent, calls);
    await until(async () => (await counts(journey)).waiting === 7);
    await pause(50);
    const leases = agent.received.flatMap((frame) => (frame.t === "leases" ? frame.leases : []));
    expect(leases.filter(({ name }) => name === "work")).toHaveLength(2);
    const done = await workThrough(journey, agent, 9);
    expect(new Set(done.map(({ task, fence }) => `${task} ${fence}`)).size).toBe(9);
    for (const workflow of workflows) {
      await until(async () => (await task(journey, runOf(workflow), "work#3")).state === "succeeded");
    }
    await expectNothingLeft(journey);
  });

  it("lets those go first that have the higher priority, then those that have waited longer", async () => {
    const journey = await start();
    const agent = await connect(journey, 100, 100);
    await openRuns(journey, agent, [[taskCall("work#1"), taskCall("work#2")]]);
    const first = await agent.leases(2);
    await openRuns(journey, agent, [[taskCall("work#3")]]);
    await until(async () => (await counts(journey)).waiting === 1);
    await pause(5);
    await openRuns(journey, agent, [[taskCall("work#4"), taskCall("work#5", { options: { priority: 5 } })]]);
    await until(async () => (await counts(journey)).waiting === 3);
    const keys: string[] = [];
    for (let lease = first[0]; lease && keys.length < 3; ) {
      agent.done(lease);
      lease = await agent.lease();
      keys.push(lease.task.slice(33));
    }
    expect(keys).toEqual(["work#5", "work#3", "work#4"]);
  });

  it("is kept over retries, and freed by the last failure", async () => {
    const journey = await start();
    const agent = await connect(journey, 100, 100);
    await openRuns(journey, agent, [[taskCall("again#1", { options: { retry: { attempts: 2, backoffMs: 0 } } })]]);
    const [workflow] = await openRuns(journey, agent, [[taskCall("work#1"), taskCall("work#2")]]);
    const leases = await agent.leases(2);
    const again = leases.find(({ name }) => name === "again");
    if (!again || !workflow) throw new Error("the first has a slot");
    agent.fail(again, { retryable: true });
    const second = await agent.lease();
    expect(second).toMatchObject({ task: again.task, attempt: 2 });
    expect(await counts(journey)).toEqual({ held: 2, waiting: 1 });
    agent.fail(second, { retryable: true });
    expect(await agent.lease()).toMatchObject({ task: taskId(runOf(workflow), "work#2" as CallKey) });
  });

  it("counts the time for a slot as time in a queue", async () => {
    const journey = await start();
    const agent = await connect(journey, 100, 100);
    const [workflow] = await openRuns(journey, agent, [[taskCall("work#1"), taskCall("work#2")]]);
    const leases = await agent.leases(2);
    if (!workflow) throw new Error("a workflow");
    agent.calls(workflow, [taskCall("hasty#1")]);
    await until(async () => (await task(journey, runOf(workflow), "hasty#1"))?.state === "failed");
    expect(await task(journey, runOf(workflow), "hasty#1")).toMatchObject({
      failure: { type: "QueueTimedOut", message: "Limit 'gpu' had no slot for the task within 30 ms." },
    });
    await until(async () => (await counts(journey)).waiting === 0);
    for (const lease of leases) agent.done(lease);
    await expectNothingLeft(journey);
  });

  it("goes to others when who holds it, or waits for it, is cancelled", async () => {
    const journey = await start();
    const agent = await connect(journey, 100, 100);
    const calls = [1, 2, 3].map((n) => taskCall(`work#${n}`));
    const [cancelled, other] = await openRuns(journey, agent, [calls, []]);
    if (!cancelled || !other) throw new Error("two workflows");
    const leases = await agent.leases(2);
    agent.calls(other, [taskCall("work#1")]);
    await until(async () => (await counts(journey)).waiting === 2);
    await journey.runs.cancelRun({ run: runOf(cancelled), reason: "test", by: "test" });
    await until(async () => (await counts(journey)).waiting === 1);
    for (const lease of leases) {
      agent.report(lease, { kind: "cancelled", failure: { type: "CancelledError", message: "", retryable: false } });
    }
    const last = await agent.lease();
    expect(last.task).toBe(taskId(runOf(other), "work#1" as CallKey));
    agent.done(last);
    await expectNothingLeft(journey);
  });

  it("C4 is not taken by a task that still waits for a ref", async () => {
    const journey = await start();
    const agent = await connect(journey, 100, 100);
    const one = { options: { limit: { name: "gpu", max: 1 } } };
    await openRuns(journey, agent, [
      [taskCall("other#1"), taskCall("work#1", { ...one, refs: ["other#1"] }), taskCall("work#2", one)],
    ]);
    const leases = await agent.leases(2);
    expect(leases.map(({ task }) => task.slice(33)).sort()).toEqual(["other#1", "work#2"]);
    for (const lease of leases) agent.done(lease);
    expect(await agent.lease()).toMatchObject({ refs: { "other#1": { json: "null" } } });
  });

  it("C8 takes no harm when all that was said of it is said again, in any order", async () => {
    const engine = createMemoryEngine({ clock: systemClock });
    const said: SlotMessage[] = [];
    const commit: Engine["commit"] = (partition, batch, claim) => {
      said.push(...messagesIn(partition, batch));
      return claim ? engine.commit(partition, batch, claim) : engine.commit(partition, batch);
    };
    const journey = await start(meddle(engine, { commit }));
    const across = { engine, mover: journey.mover, partitions };
    const agent = await connect(journey, 100, 100);
    await openRuns(journey, agent, [[1, 2, 3, 4].map((n) => taskCall(`work#${n}`))]);
    const leases = await agent.leases(2);
    await until(async () => (await counts(journey)).waiting === 2);
    for (const message of [...said, ...said.toReversed()]) await deliverSlot(across, message);
    const slot = slotMember(taskId(runOf(leases[0] as Lease), "ended#1" as CallKey), 7);
    const late = { project: "demo", name: "gpu", slot, max: 2 };
    await deliverSlot(across, { kind: "askSlot", ...late, score: 0 });
    await pause(30);
    expect(await counts(journey)).toEqual({ held: 2, waiting: 2 });
    for (const lease of leases) agent.done(lease);
    for (const lease of await agent.leases(2)) agent.done(lease);
    await expectNothingLeft(journey);
    for (const message of said.toReversed()) await deliverSlot(across, message);
    for (const message of said) await deliverSlot(across, message);
    await journey.mover.move(limit.partition, addWaiter, { limit, ...late, score: 0 });
    await expectNothingLeft(journey);
  });

  it("is given by another coordinator when the one that freed it is gone before the next has it", async () => {
    const engine = createMemoryEngine({ clock: systemClock });
    let isStuck = false;
    const gives = ({ writes }: Transaction) =>
      writes.some((write) => write.kind === "rank" && write.index === holdersIndex(limit));
    const commit: Engine["commit"] = (partition, batch, claim) => {
      if (isStuck && batch.some(gives)) return new Promise(() => undefined);
      return claim ? engine.commit(partition, batch, claim) : engine.commit(partition, batch);
    };
    const journey = await start(meddle(engine, { commit }));
    await start(engine);
    await pause(100);
    const agent = await connect(journey, 100, 100);
    const [workflow] = await openRuns(journey, agent, [[1, 2, 3].map((n) => taskCall(`work#${n}`))]);
    const [first] = await agent.leases(2);
    if (!first || !workflow) throw new Error("leases");
    await until(async () => (await counts(journey)).waiting === 1);
    isStuck = true;
    agent.done(first);
    await until(async () => (await task(journey, runOf(workflow), "work#3")).state === "ready");
  });

  it("passes over nobody who wants fewer at once than those behind", async () => {
    const journey = await start();
    const agent = await connect(journey, 100, 100);
    const allowing = (max: number) => ({ options: { limit: { name: "gpu", max } } });
    const [workflow] = await openRuns(journey, agent, [[taskCall("work#1")]]);
    const first = await agent.lease();
    if (!workflow) throw new Error("a workflow");
    agent.calls(workflow, [taskCall("work#2", allowing(1))]);
    await until(async () => (await counts(journey)).waiting === 1);
    await pause(5);
    agent.calls(workflow, [taskCall("work#3", allowing(5))]);
    await until(async () => (await counts(journey)).waiting === 2);
    await pause(30);
    expect(await counts(journey)).toEqual({ held: 1, waiting: 2 });
    agent.done(first);
    const second = await agent.lease();
    expect(second.task).toBe(taskId(runOf(workflow), "work#2" as CallKey));
    expect((await agent.lease()).task).toBe(taskId(runOf(workflow), "work#3" as CallKey));
  });

  it("C16 is told anew by those who hold it or wait for it, when it was forgotten; and frees what was forgotten by them", async () => {
    const engine = createMemoryEngine({ clock: systemClock });
    const journey = await start(engine);
    const agent = await connect(journey, 100, 100);
    const [workflow] = await openRuns(journey, agent, [[1, 2, 3].map((n) => taskCall(`work#${n}`))]);
    const [first] = await agent.leases(2);
    if (!first || !workflow) throw new Error("leases");
    await until(async () => (await counts(journey)).waiting === 1);
    const before = await Promise.all(
      [holdersIndex(limit), waitersIndex(limit)].map((index) => membersOf(engine, index)),
    );
    journey.close();
    const unrank = [holdersIndex(limit), waitersIndex(limit)].flatMap((index, at) =>
      (before[at] ?? []).map((member) => ({ kind: "unrank", index, member }) as const),
    );
    const ghost = {
      kind: "rank",
      index: holdersIndex(limit),
      member: slotMember(first.task, 7),
      score: { at: 0 },
      value: "2",
    } as const;
    const unknown = { ...ghost, member: slotMember(taskId(runOf(first), "gone#1" as CallKey), 7) };
    await engine.commit(limit.partition, [{ checks: [], writes: [...unrank, ghost, unknown] }]);
    const mover = createMover({ engine, clock: systemClock, random: systemRandom });
    await createSlotWatch({ engine, mover, partitions }).look();
    expect(
      await Promise.all([holdersIndex(limit), waitersIndex(limit)].map((index) => membersOf(engine, index))),
    ).toEqual(before);
    mover.close();
  });

  it("is found out by S5 again after a failover, and not otherwise", async () => {
    const engine = createMemoryEngine({ clock: systemClock });
    const journey = await start(engine);
    const agent = await connect(journey, 100, 100);
    await openRuns(journey, agent, [[1, 2, 3].map((n) => taskCall(`work#${n}`))]);
    await agent.leases(2);
    await until(async () => (await counts(journey)).waiting === 1);
    journey.close();
    const mover = createMover({ engine, clock: systemClock, random: systemRandom });
    const watch = createSlotWatch({ engine, mover, partitions });
    const forget = async () => {
      for (const index of [holdersIndex(limit), waitersIndex(limit)]) {
        const writes = (await membersOf(engine, index)).map((member) => ({ kind: "unrank", index, member }) as const);
        await engine.commit(limit.partition, [{ checks: [], writes }]);
      }
    };
    await watch.look();
    await forget();
    await watch.look();
    expect(await counts(journey)).toEqual({ held: 0, waiting: 0 });
    const key = `{${limit.partition}}epoch` as Key;
    const epoch = JSON.stringify({ epoch: 1, fence: 0 });
    await engine.commit(limit.partition, [
      { checks: [], writes: [{ kind: "set", key, stamp: "epoch.1", value: epoch }] },
    ]);
    await watch.look();
    expect(await counts(journey)).toEqual({ held: 2, waiting: 1 });
    mover.close();
  });

  it("costs tasks that have none nothing", async () => {
    const engine = createMemoryEngine({ clock: systemClock });
    const written = new WrittenKeys();
    const commit: Engine["commit"] = async (partition, batch, claim) => {
      for (const { writes } of batch) for (const write of writes) written.note(partition, write);
      return claim ? engine.commit(partition, batch, claim) : engine.commit(partition, batch);
    };
    const journey = await start(meddle(engine, { commit }));
    const agent = await connect(journey, 100, 100);
    const [workflow] = await openRuns(journey, agent, [[taskCall("other#1")]]);
    agent.done(await agent.lease());
    await until(
      async () => workflow !== undefined && (await task(journey, runOf(workflow), "other#1")).state === "succeeded",
    );
    expect([...written.indexes].filter((index) => /(slots|limits|holders|waiters|outbox)/.test(index))).toEqual([]);
  });
});

/** Messages about slots that a batch writes. */
function messagesIn(partition: Partition, batch: readonly Transaction[]): SlotMessage[] {
  return batch.flatMap(({ writes }) =>
    writes.flatMap((write) => {
      if (write.kind !== "rank" || write.index !== outboxIndex(partition)) return [];
      const message = JSON.parse(write.value ?? "null") as Message;
      return "slot" in message ? [message] : [];
    }),
  );
}
