import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { CallKey, RunId } from "#shared/domain/ids.ts";
import { newRunId, partitionAt, partitionOf, sha256, taskId } from "#shared/domain/ids.ts";
import { systemRandom } from "#shared/system.ts";
import { taskCall } from "../../tests/support/fake-agent.ts";
import {
  dayMs,
  hourMs,
  minuteMs,
  type RetentionStand,
  retentionStand,
  sweepAll,
  until,
} from "../../tests/support/retention-stand.ts";
import type { Key } from "../engine/engine.ts";
import { dependentsIndex, edgesIndex, journalLog, outputLog, type TaskRecord, taskKey } from "../records.ts";
import { openRun } from "../runs/open-run.ts";
import { removalKey } from "../state/kept-records.ts";
import { runOutputLog } from "../state/log-records.ts";
import type { NewRun } from "../state/new-run.ts";
import { perStepMax } from "./remove-task.ts";
import { runsPerSweepMax } from "./retention.ts";

let stand: RetentionStand;
beforeEach(() => {
  stand = retentionStand();
});
afterEach(() => stand.close());

type Journey = Awaited<ReturnType<RetentionStand["journey"]>>;

const digest = "0".repeat(64);
const large = Buffer.from(JSON.stringify("x".repeat(20_000)));
const ended = (journey: Journey, run: RunId) =>
  until(async () => (await journey.read(run)).endedAtMs !== null, `the end of ${run}`);

/** What is there, but for what a coordinator keeps for itself: ticks, watches, clocks. */
const contents = async () =>
  (await stand.engine.contents()).filter(
    (name) => !/^\{p\d\}(tick|watch|paused|leader|audit|agent|kept\/agents)/.test(name),
  );
const ofRun = async (run: RunId) => (await contents()).filter((name) => name.includes(run));

async function stateOf(run: RunId, key: string): Promise<string | undefined> {
  const { found } = await stand.engine.get([taskKey(taskId(run, key as CallKey))]);
  return (JSON.parse(found[0]?.value ?? "null") as TaskRecord | null)?.state;
}

/** A run of everything: tasks that depend on each other, retried and failed ones, waits, a child, logs, large values. */
async function liveFully(journey: Journey): Promise<RunId> {
  const { agent, runs, blobs } = journey;
  const trigger = { kind: "manual", name: null, by: "test" } as const;
  const identity = { source: "api", key: "k", digest: "d" };
  await blobs.put(sha256(large), large, large.length);
  const value = { blob: sha256(large), bytes: large.length };
  const { run } = await runs.openRun({ project: "demo", workflow: "main", input: value, trigger, identity });
  const workflow = await agent.lease();
  for (const id of ["s1", "s2"]) await runs.signalRun({ run, name: "go", id, value: { json: "1" }, by: "test" });
  agent.calls(workflow, [
    taskCall("work#1"),
    taskCall("work#2", { refs: ["work#1"], options: { queueTimeoutMs: hourMs } }),
    taskCall("other#1", { options: { retry: { attempts: 2, backoffMs: 1 } } }),
    { kind: "signal", key: "signal:go#1", name: "go", digest },
    { kind: "signal", key: "signal:stop#1", name: "stop", digest, timeoutMs: hourMs },
    { kind: "event", key: "event:paid#1", name: "paid", digest, timeoutMs: hourMs },
    ...Array.from({ length: 45 }, (_, n) => ({ kind: "sleep", key: `sleep#${n}`, digest, forMs: hourMs })),
    { kind: "workflow", key: "child#1", name: "child", digest, input: { json: "1" }, refs: ["work#1"] },
  ]);
  const first = await agent.leases(2);
  const work = first.find(({ name }) => name === "work");
  const other = first.find(({ name }) => name === "other");
  if (!work || !other) throw new Error("two tasks are ready");
  const chunk = (lease: typeof work, text: string) => ({
    task: lease.task,
    fence: lease.fence,
    stream: "stdout",
    offset: 0,
    text,
    atMs: 1,
  });
  agent.send({ t: "logs", seq: agent.seq(), chunks: [chunk(work, "a"), chunk(other, "b"), chunk(workflow, "c")] });
  agent.report(work, { kind: "done", output: value });
  agent.fail(other, { retryable: true });
  const next = await agent.leases(3);
  for (const lease of next) {
    if (lease.name === "other") agent.fail(lease);
    else agent.done(lease, "done");
  }
  await runs.sendEvent({ project: "demo", name: "paid", id: "e1", value, by: "test" });
  await until(async () => (await stateOf(run, "event:paid#1")) === "succeeded", "the event");
  await until(async () => (await stateOf(run, "child#1")) === "succeeded", "the child");
  agent.done(workflow, "output");
  await ended(journey, run);
  // What the end left open is cancelled, and messages are delivered.
  await until(
    async () => !(await contents()).some((name) => /\}(closing|outbox|walks|resolving) /.test(name)),
    "nothing is under way",
  );
  return run;
}

const attemptOf = ({ task, fence }: { task: string; fence: number }) => ({ task, fence });

/** Removes the child, and begins with the run itself. */
async function markOnly(retention: ReturnType<RetentionStand["coordinator"]>["retention"]): Promise<void> {
  await sweepAll(stand, retention);
  stand.clock.advance(hourMs);
  for (const partition of stand.partitions) await retention.sweep(partition);
}

describe("a run that ended", () => {
  it("C9 leaves with all that is of it, so that nothing in the engine tells of it, after its age and not before", async () => {
    const journey = await stand.journey();
    const before = await contents();
    const run = await liveFully(journey);
    expect((await ofRun(run)).length).toBeGreaterThan(80);
    journey.close();
    const { retention } = stand.coordinator();
    stand.clock.advance(30 * dayMs - minuteMs);
    await sweepAll(stand, retention);
    expect((await ofRun(run)).length).toBeGreaterThan(30);
    stand.clock.advance(2 * minuteMs);
    await sweepAll(stand, retention);
    // Its child's input referred to it, so it is looked at again when that has left.
    stand.clock.advance(hourMs);
    await sweepAll(stand, retention);
    expect(await ofRun(run)).toEqual([]);
    // Its blobs are left without an owner, and go a day and an hour later.
    stand.clock.advance(25 * hourMs);
    await sweepAll(stand, retention);
    stand.clock.advance(2 * hourMs);
    await sweepAll(stand, retention);
    expect(await contents()).toEqual(before);
    expect([...stand.store.blobs.keys()]).toEqual([]);
  });

  it("C9 stays for ever when its age is", async () => {
    const journey = await stand.journey();
    const run = await journey.open();
    journey.agent.done(await journey.agent.lease());
    await ended(journey, run);
    journey.close();
    stand.clock.advance(4_000 * dayMs);
    await sweepAll(stand, stand.coordinator({ runsMs: Infinity }).retention);
    expect(await journey.read(run)).toMatchObject({ state: "succeeded" });
  });

  it("C9 is not there any more from the moment on when its removal begins", async () => {
    const journey = await stand.journey();
    const run = await liveFully(journey);
    journey.close();
    stand.clock.advance(31 * dayMs);
    const { retention } = stand.coordinator();
    await markOnly(retention);
    expect(await journey.read(run)).toBeNull();
    const trigger = { kind: "manual", name: null, by: "test" } as const;
    expect(await stand.engine.contents()).toContain(removalKey(run));
    const again = { id: run, identityDigest: "d" } as NewRun;
    const refused = stand.coordinator().mover.move(partitionOf(run), openRun, again);
    await expect(refused).rejects.toMatchObject({ code: "Unavailable", retryable: true });
    await sweepAll(stand, retention);
    const later = await stand.journey();
    const request = { project: "demo", workflow: "main", input: { json: "1" }, trigger };
    const identity = { source: "api", key: "k", digest: "d" };
    expect(await later.runs.cancelRun({ run, reason: "", by: "test" })).toEqual({ kind: "unknown" });
    expect(await later.runs.retryRun({ run, by: "test" })).toBeNull();
    // Under the same key another run is opened once the first is wholly gone, and not into what is left of it.
    await until(async () => {
      const opened = await later.runs.openRun({ ...request, identity });
      return opened?.kind === "opened" && opened.run === run;
    }, "the key can be used again");
    expect(await later.read(run)).toMatchObject({ state: "open" });
    later.close();
    await sweepAll(stand, retention);
    expect(await later.read(run)).toMatchObject({ state: "open" });
  });
});

describe("a run that has to stay", () => {
  it("C9 never leaves while it is open, however old", async () => {
    const journey = await stand.journey();
    const run = await journey.open();
    const workflow = await journey.agent.lease();
    journey.agent.calls(workflow, [{ kind: "sleep", key: "sleep#1", digest, forMs: 900 * dayMs }]);
    await until(async () => (await ofRun(run)).some((name) => name.includes("sleep#1")), "the sleep");
    journey.close();
    const before = await contents();
    stand.clock.advance(800 * dayMs);
    await sweepAll(stand, stand.coordinator().retention);
    expect(await contents()).toEqual(before);
  });

  it("A14 stays while a detached task of it is executing, and leaves when that is over", async () => {
    const journey = await stand.journey();
    const { agent } = journey;
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [taskCall("work#1", { detached: true, awaited: false })]);
    const work = await agent.lease();
    agent.done(workflow, "over");
    await ended(journey, run);
    journey.close();
    stand.clock.advance(31 * dayMs);
    const { retention } = stand.coordinator();
    await sweepAll(stand, retention);
    expect(await journey.read(run)).toMatchObject({ state: "succeeded" });
    const later = await stand.journey([work]);
    later.agent.done(work, "late");
    await until(async () => (await stateOf(run, "work#1")) === "succeeded", "the detached task's end");
    later.close();
    await sweepAll(stand, retention);
    expect(await journey.read(run)).toMatchObject({ state: "succeeded" });
    stand.clock.advance(hourMs);
    await sweepAll(stand, retention);
    expect(await ofRun(run)).toEqual([]);
  });

  it("C9 stays while a retry copies it, and while another run's input refers to its calls", async () => {
    const journey = await stand.journey();
    const { agent } = journey;
    const run = await journey.open();
    const workflow = await agent.lease();
    const child = { kind: "workflow", key: "child#1", name: "child", digest, input: { json: "1" }, refs: ["work#1"] };
    agent.calls(workflow, [taskCall("work#1"), { ...child, detached: true }]);
    agent.done(await agent.lease(), "given");
    const childFlow = await agent.lease();
    agent.done(workflow, "over");
    await ended(journey, run);
    const childRun = childFlow.task.slice(0, 32) as RunId;
    stand.clock.advance(20 * dayMs);
    agent.fail(childFlow);
    await ended(journey, childRun);
    journey.close();
    stand.clock.advance(11 * dayMs);
    const { retention } = stand.coordinator();
    await sweepAll(stand, retention);
    // A retry of the child is given what its parent's call gave.
    expect(await journey.read(run)).toMatchObject({ state: "succeeded" });
    stand.clock.advance(20 * dayMs);
    await sweepAll(stand, retention);
    expect(await ofRun(childRun)).toEqual((await ofRun(childRun)).filter((name) => name.includes(run)));
    stand.clock.advance(hourMs);
    await sweepAll(stand, retention);
    expect([...(await ofRun(childRun)), ...(await ofRun(run))]).toEqual([]);
  });
});

describe("a removal", () => {
  it("C9 goes on after a crash between any two of its steps, and comes to the same", async () => {
    const journey = await stand.journey();
    const before = await contents();
    const run = await liveFully(journey);
    journey.close();
    stand.clock.advance(31 * dayMs);
    await markOnly(stand.coordinator().retention);
    // Each coordinator commits one step and is gone.
    let steps = 0;
    for (; (await ofRun(run)).length > 0 && steps < 50; steps += 1) {
      const engine = Object.assign(Object.create(stand.engine), {
        commits: 0,
        commit(...args: Parameters<typeof stand.engine.commit>) {
          this.commits += 1;
          if (this.commits > 1) return new Promise(() => undefined);
          return stand.engine.commit(...args);
        },
      });
      const { retention } = stand.coordinator({}, { engine });
      void retention.removeRun(run).catch(() => undefined);
      await until(() => engine.commits > 0, "a step");
    }
    expect(steps).toBeGreaterThan(5);
    expect(await ofRun(run)).toEqual([]);
    const { retention } = stand.coordinator();
    stand.clock.advance(25 * hourMs);
    await sweepAll(stand, retention);
    stand.clock.advance(2 * hourMs);
    await sweepAll(stand, retention);
    expect(await contents()).toEqual(before);
  });

  it("C9 is done once, also by several coordinators at the same time", async () => {
    const journey = await stand.journey();
    const before = await contents();
    for (let n = 0; n < 20; n += 1) {
      const run = await journey.open();
      const workflow = await journey.agent.lease();
      journey.agent.calls(workflow, [taskCall("work#1"), taskCall("work#2")]);
      for (const lease of await journey.agent.leases(2)) journey.agent.done(lease, n);
      journey.agent.done(workflow);
      await ended(journey, run);
    }
    journey.close();
    stand.clock.advance(31 * dayMs);
    const coordinators = [1, 2, 3].map(() => stand.coordinator());
    await Promise.all(coordinators.map(({ retention }) => sweepAll(stand, retention)));
    expect(await contents()).toEqual(before);
  });

  it("C9 has a bound for each look: so many runs begin to leave, and so many steps are done for each", async () => {
    const journey = await stand.journey();
    const open = runsPerSweepMax + 5;
    const runs = await Promise.all(Array.from({ length: 2 * open }, () => journey.open()));
    for (const run of runs) await journey.runs.cancelRun({ run, reason: "all", by: "test" });
    stand.clock.advance(minuteMs);
    await Promise.all(runs.map((run) => ended(journey, run)));
    journey.close();
    stand.clock.advance(31 * dayMs);
    const { retention } = stand.coordinator();
    const [partition] = stand.partitions;
    if (!partition) throw new Error("there is a partition");
    const marked = async () => (await contents()).filter((name) => name.startsWith(`{${partition}}removing `)).length;
    const inPartition = runs.filter((run) => partitionOf(run) === partition).length;
    expect(await retention.sweep(partition)).toBe(inPartition >= runsPerSweepMax);
    expect(await marked()).toBe(Math.min(runsPerSweepMax, inPartition));
  });

  it("C9 takes a large run in many small steps, none of them larger than the others", async () => {
    const journey = await stand.journey();
    const { agent } = journey;
    const run = await journey.open();
    const workflow = await agent.lease();
    const calls = 700;
    agent.calls(workflow, [taskCall("work#1")]);
    const work = await agent.lease();
    const dependents = Array.from({ length: calls }, (_, n) => taskCall(`other#${n}`, { refs: ["work#1"] }));
    agent.calls(workflow, dependents);
    await until(async () => (await stateOf(run, `other#${calls - 1}`)) !== undefined, "all calls");
    const chunk = (offset: number) => ({ ...attemptOf(work), stream: "stdout", offset, text: "x", atMs: 1 });
    for (let at = 0; at < 1_200; at += 400) {
      agent.send({ t: "logs", seq: agent.seq(), chunks: Array.from({ length: 400 }, (_, n) => chunk(at + n)) });
    }
    await journey.runs.cancelRun({ run, reason: "enough", by: "test" });
    agent.fail(workflow, { type: "CancelledError" });
    agent.report(work, { kind: "cancelled", failure: { type: "CancelledError", message: "", retryable: false } });
    await ended(journey, run);
    await until(async () => !(await contents()).some((name) => name.includes("}closing ")), "the end of all calls");
    journey.close();
    stand.clock.advance(31 * dayMs);
    const sizes: number[] = [];
    const engine = Object.assign(Object.create(stand.engine), {
      commit(...args: Parameters<typeof stand.engine.commit>) {
        for (const { writes } of args[1]) sizes.push(writes.length);
        return stand.engine.commit(...args);
      },
    });
    await sweepAll(stand, stand.coordinator({}, { engine }).retention);
    expect(await ofRun(run)).toEqual([]);
    expect(sizes.length).toBeGreaterThan(calls / 10);
    expect(Math.max(...sizes)).toBeLessThan(2 * perStepMax);
  }, 20_000);

  it("C9 takes what one task has in steps too: a long log, and edges to many others", async () => {
    const { mover, retention } = stand.coordinator();
    const run = newRunId(partitionAt(0), stand.clock, systemRandom);
    const task = taskId(run, "work#1" as CallKey);
    const entries = (log: Key, count: number) =>
      Array.from({ length: count }, () => ({ kind: "append", log, value: "{}" }) as const);
    const called = JSON.stringify({ e: "called", key: "work#1", kind: "task", name: "work", digest });
    const ranked = (index: Key, count: number) =>
      Array.from({ length: count }, (_, n) => ({ kind: "rank", index, member: `m${n}`, score: { at: 0 } }) as const);
    const removal = JSON.stringify({ release: "rel_1", refsRun: null, steps: 0 });
    await stand.engine.commit(partitionAt(0), [
      {
        checks: [],
        writes: [
          { kind: "set", key: removalKey(run), stamp: "s", value: removal },
          { kind: "append", log: journalLog(run), value: called },
          ...entries(outputLog(task), 2 * perStepMax + 3),
          ...entries(runOutputLog(run), perStepMax),
          ...ranked(edgesIndex(task), perStepMax + 1),
          ...ranked(dependentsIndex(task), 2 * perStepMax),
        ],
      },
    ]);
    await retention.removeRun(run);
    expect(await stand.engine.contents()).toEqual([]);
    mover.close();
  });
});
