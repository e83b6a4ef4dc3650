import { describe, expect, it } from "vitest";
import { partitionOf, runOfTask, taskId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Lease } from "#shared/protocol/agent.ts";
import type { FakeAgent } from "../../tests/support/fake-agent.ts";
import { taskCall } from "../../tests/support/fake-agent.ts";
import { connect, pause, type Started, start, task, until } from "../../tests/support/history-steps.ts";
import { epochKey } from "../engine/engine.ts";
import { holdersIndex, limitOf } from "../state/limit-records.ts";
import { giveBack } from "./give-back.ts";

const strict = { limit: { name: "one", max: 1 }, onLeaseLost: "stop" } as const;

async function leased(
  options: { partitions?: number } = {},
): Promise<{ journey: Started; agent: FakeAgent; workflow: Lease; work: Lease }> {
  const journey = await start({ tasks: { work: strict, other: {} }, ...options });
  const agent = await connect(journey, 4, 4);
  await journey.open();
  const workflow = await agent.lease();
  agent.calls(workflow, [taskCall("work#1")]);
  return { journey, agent, workflow, work: await agent.lease() };
}

const nameOf = ({ task: id, fence }: Lease) => ({ task: id, fence });
const expire = (journey: Started, lease: Lease, lateMs: number) =>
  journey.mover.move(partitionOf(runOfTask(lease.task)), giveBack, { ...nameOf(lease), why: "expired", lateMs });

describe.each([1, 5])("C17 a task that must not outlast its lease, over %i partitions", (partitions) => {
  const limit = limitOf(partitions, { project: "demo", name: "one" });
  const held = async ({ engine }: Started) => (await engine.range(holdersIndex(limit), { limit: 9 })).rows.length;

  it("is leased as one, and its renewals say when they were sent", async () => {
    const { agent, work } = await leased({ partitions });
    expect(work.onLeaseLost).toBe("stop");
    agent.send({ t: "renew", leases: [nameOf(work)], at: 12.5 });
    expect(await agent.next("renewed")).toMatchObject({ leases: [nameOf(work)], at: 12.5 });
    agent.send({ t: "renew", leases: [nameOf(work)] });
    expect(await agent.next("renewed")).not.toHaveProperty("at");
  });

  it("is granted anew only a while after its lease has expired", async () => {
    const { journey, agent, work } = await leased({ partitions });
    expect(await expire(journey, work, 0)).toBe("not yet");
    expect(await expire(journey, work, limits.leaseLostMarginMs - 1)).toBe("not yet");
    expect(await expire(journey, work, limits.leaseLostMarginMs)).toBe("given back");
    expect(await agent.lease()).toMatchObject({ task: work.task });
  });

  it("keeps its slot for that while, also when it was cancelled, for its program may still be at it", async () => {
    const { journey, work } = await leased({ partitions });
    const run = runOfTask(work.task);
    await journey.runs.cancelRun({ run, reason: "test", by: "test" });
    await until(async () => (await task(journey, run, "work#1")).cancelReason !== null);
    await expire(journey, work, limits.leaseLostMarginMs - 1);
    await pause(30);
    expect(await task(journey, run, "work#1")).toMatchObject({ state: "ready" });
    expect(await held(journey)).toBe(1);
    await expire(journey, work, limits.leaseLostMarginMs);
    await until(async () => (await task(journey, run, "work#1")).state === "cancelled" && (await held(journey)) === 0);
  });

  it("is not believed to have ended when its agent has forgotten it, but is when that says that it never began", async () => {
    const { journey, agent, work } = await leased({ partitions });
    agent.cut();
    const again = await connect(journey, 4, 4);
    await pause(30);
    const attempts = again.received.flatMap((frame) => (frame.t === "leases" ? frame.leases : []));
    expect(attempts.filter(({ name }) => name === "work")).toEqual([]);
    again.send({ t: "handback", leases: [nameOf(work)] });
    await again.next("leases", ({ leases }) => leases.some(({ name }) => name === "work"));
  });

  it("C16 is not executed for a time to live after a failover, which may have forgotten whom it was granted to", async () => {
    const { journey, agent, workflow, work } = await leased({ partitions });
    agent.done(work);
    const partition = partitionOf(runOfTask(work.task));
    const epoch = (secondsAgo: number, stamp: string) =>
      journey.engine.commit(partition, [
        {
          checks: [],
          writes: [
            {
              kind: "set",
              key: epochKey(partition),
              stamp,
              value: JSON.stringify({ epoch: 1, fence: (Date.now() - secondsAgo * 1_000) * 1_000 }),
            },
          ],
        },
      ]);
    const isLeased = (key: string) =>
      agent.received.some(
        (frame) =>
          frame.t === "leases" &&
          frame.leases.some(({ task: id }) => id === taskId(runOfTask(work.task), key as never)),
      );
    await epoch(30, "epoch.1");
    agent.calls(workflow, [taskCall("work#2"), taskCall("other#1")]);
    await until(() => isLeased("other#1"));
    await pause(50);
    expect(isLeased("work#2")).toBe(false);
    expect(await task(journey, runOfTask(work.task), "work#2")).toMatchObject({ state: "ready", attemptsEnded: 0 });
    await epoch(36, "epoch.2");
    agent.calls(workflow, [taskCall("work#3", { options: { limit: { name: "another", max: 1 } } })]);
    await until(() => isLeased("work#3"));
  });

  it("leaves tasks that may outlast their leases as they were: granted anew at once", async () => {
    const { journey, agent, workflow } = await leased({ partitions });
    agent.calls(workflow, [taskCall("other#1")]);
    const other = await agent.lease();
    expect(other).not.toHaveProperty("onLeaseLost");
    expect(await expire(journey, other, 0)).toBe("given back");
    expect(await agent.lease()).toMatchObject({ task: other.task });
  });
});
