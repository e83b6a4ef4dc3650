import { afterEach, describe, expect, it } from "vitest";
import type { BlobStore } from "#coordinator/blobs/blobs.ts";
import type { CallKey, RunId } from "#shared/domain/ids.ts";
import { partitionOf, runOfTask, taskId } from "#shared/domain/ids.ts";
import { FakeAgent, taskCall } from "../tests/support/fake-agent.ts";
import { startJourney } from "../tests/support/start-journey.ts";
import { queueIndex } from "./engine/engine.ts";
import { countKey, type TaskRecord, taskKey } from "./records.ts";

type Started = Awaited<ReturnType<typeof startJourney>>;
let open: Started[] = [];

async function startAnd(options: Parameters<typeof startJourney>[0]): Promise<Started> {
  const journey = await startJourney(options);
  open.push(journey);
  return journey;
}

async function connect(
  journey: Started,
  credit = { tasks: 4, workflows: 4 },
  agent = new FakeAgent(),
): Promise<FakeAgent> {
  journey.fleet.accept(agent.socket);
  agent.hello();
  await agent.next("welcome");
  agent.credit(credit.tasks, credit.workflows);
  return agent;
}

async function task(journey: Started, run: RunId, key: string): Promise<TaskRecord> {
  const { found } = await journey.engine.get([taskKey(taskId(run, key as CallKey))]);
  return JSON.parse(found[0]?.value ?? "null") as TaskRecord;
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const start = Date.now();
  while (!(await holds())) {
    if (Date.now() - start > 4_000) throw new Error("it did not come to hold");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const ended = (journey: Started, run: RunId) => until(async () => (await journey.read(run)).endedAtMs !== null);

afterEach(() => {
  for (const journey of open) journey.close();
  open = [];
});

describe.each([1, 5])("a run's journey, over %i partitions", (partitions) => {
  const start = (options: Parameters<typeof startJourney>[0] = {}) => startAnd({ partitions, ...options });

  it("goes from opened to its output, a task call on the way", async () => {
    const journey = await start();
    const agent = await connect(journey);
    const run = await journey.open();
    const workflow = await agent.lease();
    expect(workflow).toMatchObject({
      kind: "workflow",
      name: "main",
      attempt: 1,
      journalEnd: 1,
      input: { json: "{}" },
    });
    agent.calls(workflow, [taskCall("work#1")]);
    const work = await agent.lease();
    expect(work).toMatchObject({ kind: "task", name: "work", input: { json: "1" }, process: "warm" });
    agent.done(work, 42);
    const entries = await agent.entries((entry) => entry.e === "settled");
    expect(entries.at(-1)).toMatchObject({ e: "settled", key: "work#1", outcome: "succeeded", value: { json: "42" } });
    agent.done(workflow, "output");
    await ended(journey, run);
    expect(await journey.read(run)).toMatchObject({ state: "succeeded", output: { json: '"output"' } });
  });

  it("C11 refuses a report under an older fence, and answers the same report again alike", async () => {
    const journey = await start();
    const agent = await connect(journey, { tasks: 1, workflows: 4 });
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [taskCall("work#1")]);
    const first = await agent.lease();
    agent.send({ t: "handback", leases: [{ task: first.task, fence: first.fence }] });
    const second = await agent.lease();
    expect(second.fence).toBeGreaterThan(first.fence);
    expect(second.attempt).toBe(1);
    agent.done(first, "old");
    expect(await agent.next("stale")).toMatchObject({ leases: [{ task: first.task, fence: first.fence }] });
    agent.done(second, "new");
    await agent.next("accepted");
    agent.done(second, "new");
    await agent.next("accepted");
    expect(await task(journey, run, "work#1")).toMatchObject({ state: "succeeded", output: { json: '"new"' } });
    const { found } = await journey.engine.get([countKey(run, "succeeded")]);
    expect(found[0]?.value).toBe("1");
  });

  it("C11 accepts a report of a task that is back in its queue, and takes it out", async () => {
    const journey = await start();
    const agent = await connect(journey, { tasks: 1, workflows: 1 });
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [taskCall("work#1")]);
    const lease = await agent.lease();
    agent.credit(0, 1);
    agent.send({ t: "handback", leases: [{ task: lease.task, fence: lease.fence }] });
    await until(async () => (await task(journey, run, "work#1")).returned);
    agent.done(lease, "after all");
    await agent.entries((entry) => entry.e === "settled");
    expect(await task(journey, run, "work#1")).toMatchObject({ state: "succeeded", output: { json: '"after all"' } });
    const { rows } = await journey.engine.range(
      queueIndex(partitionOf(run), (await task(journey, run, "work#1")).queue),
      {
        limit: 10,
      },
    );
    expect(rows).toEqual([]);
  });

  it("C12 takes back a grant that nobody accepts, and counts no attempt", async () => {
    const journey = await start();
    const agent = await connect(journey, { tasks: 1, workflows: 1 });
    await journey.open();
    const first = await agent.lease();
    await journey.engine.commit(partitionOf(runOfTask(first.task)), [
      { checks: [], writes: [{ kind: "hold", member: first.task, forMs: 0 }] },
    ]);
    agent.cut();
    const later = await connect(journey, { tasks: 1, workflows: 1 }, new FakeAgent(`agt_${"0".repeat(25)}2`));
    const second = await later.lease();
    expect(second).toMatchObject({ task: first.task, attempt: 1 });
  });

  it("C15 publishes a call once, however often it is made", async () => {
    const journey = await start();
    const agent = await connect(journey, { tasks: 0, workflows: 1 });
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [taskCall("work#1")]);
    await agent.next("accepted");
    agent.calls(workflow, [taskCall("work#1")]);
    await agent.next("accepted");
    const { found } = await journey.engine.get([countKey(run, "calls")]);
    expect(found[0]?.value).toBe("1");
  });

  it("C21 fails a run whose call contradicts the journal, naming both", async () => {
    const journey = await start();
    const agent = await connect(journey);
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [taskCall("work#1")]);
    await agent.next("accepted");
    agent.calls(workflow, [taskCall("work#1", { digest: "f".repeat(64) })]);
    await ended(journey, run);
    expect(await journey.read(run)).toMatchObject({
      state: "failed",
      failure: { type: "NonDeterministicWorkflow", details: { key: "work#1" } },
    });
  });

  it("C4 readies a task when the last of the refs that it was given has settled", async () => {
    const journey = await start();
    const agent = await connect(journey, { tasks: 10, workflows: 1 });
    await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [
      taskCall("work#1"),
      taskCall("work#2"),
      taskCall("other#1", { refs: ["work#1", "work#2"] }),
    ]);
    const [first, second] = await agent.leases(2);
    if (!first || !second) throw new Error("two leases");
    agent.done(first, "a");
    agent.done(second, "b");
    const joined = await agent.lease();
    expect(joined).toMatchObject({ name: "other", refs: { "work#1": { json: '"a"' }, "work#2": { json: '"b"' } } });
  });

  it("C23 fails what was given a ref to a failed task, unexecuted, along all the edges", async () => {
    const journey = await start();
    const agent = await connect(journey, { tasks: 10, workflows: 1 });
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [
      taskCall("work#1"),
      taskCall("other#1", { refs: ["work#1"] }),
      taskCall("other#2", { refs: ["other#1"] }),
    ]);
    agent.fail(await agent.lease(), { type: "Boom" });
    await agent.entries((entry) => entry.e === "settled" && entry.key === ("other#2" as CallKey));
    expect(await task(journey, run, "other#2")).toMatchObject({
      state: "failed",
      attemptsEnded: 0,
      failure: { type: "DependencyFailed", cause: { type: "DependencyFailed", cause: { type: "Boom" } } },
    });
  });

  it("retries a failure that may pass, with a fresh fence, until its attempts are used up", async () => {
    const journey = await start({ tasks: { work: { retry: { attempts: 3, backoffMs: 5 } } } });
    const agent = await connect(journey);
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [taskCall("work#1")]);
    for (const attempt of [1, 2, 3]) {
      const lease = await agent.lease();
      expect(lease.attempt).toBe(attempt);
      agent.fail(lease, { retryable: true });
    }
    const entries = await agent.entries((entry) => entry.e === "settled");
    expect(entries.at(-1)).toMatchObject({ outcome: "failed", failure: { type: "Error" } });
    expect((await task(journey, run, "work#1")).attempts).toHaveLength(3);
  });

  it("C4 does not park a workflow whose journal has grown past what it was given", async () => {
    const journey = await start();
    const agent = await connect(journey);
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [taskCall("work#1")]);
    agent.done(await agent.lease(), 1);
    await agent.entries((entry) => entry.e === "settled");
    agent.park(workflow, 2, ["work#1"]);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(await journey.read(run)).toMatchObject({ parked: null });
    expect(agent.received.some((frame) => frame.t === "parked")).toBe(false);
  });

  it("parks a workflow that waits, and leases it again with its whole journal when what it awaits has settled", async () => {
    const journey = await start();
    const agent = await connect(journey);
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [taskCall("work#1")]);
    const work = await agent.lease();
    agent.park(workflow, 2, ["work#1"]);
    await agent.next("parked");
    expect(await journey.read(run)).toMatchObject({ parked: ["work#1"] });
    agent.done(work, 7);
    const again = await agent.lease();
    expect(again).toMatchObject({ task: workflow.task, journalEnd: 3, attempt: 1 });
    const entries = await agent.entries((entry) => entry.e === "settled");
    expect(entries.map((entry) => entry.e)).toEqual(["note", "called", "settled"]);
    expect(entries.at(-1)).toMatchObject({ value: { json: "7" } });
  });

  it("C24 journals a signal once under its sender's id, and wakes the workflow that waits for it", async () => {
    const journey = await start();
    const agent = await connect(journey);
    const run = await journey.open();
    const workflow = await agent.lease();
    const digest = "0".repeat(64);
    agent.calls(workflow, [{ kind: "signal", key: "signal:go#1", name: "go", digest }]);
    await agent.next("accepted");
    agent.park(workflow, 2, ["signal:go#1"]);
    await agent.next("parked");
    const signal = { run, name: "go", id: "s1", value: { json: "true" }, by: "test" };
    expect(await journey.runs.signalRun(signal)).toEqual({ kind: "done" });
    expect(await journey.runs.signalRun(signal)).toEqual({ kind: "done" });
    const again = await agent.lease();
    expect(again.journalEnd).toBe(3);
  });

  it("C24 fires a sleep's timer once, as a settlement", async () => {
    const journey = await start();
    const agent = await connect(journey);
    await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [{ kind: "sleep", key: "sleep#1", forMs: 30, digest: "0".repeat(64) }]);
    const entries = await agent.entries((entry) => entry.e === "settled");
    expect(entries.at(-1)).toMatchObject({ key: "sleep#1", outcome: "succeeded" });
  });

  it("C24 matches an event to a wait from the time of its call on", async () => {
    const journey = await start();
    const agent = await connect(journey);
    await journey.open();
    const workflow = await agent.lease();
    const wait = { kind: "event", key: "event:paid#1", name: "paid", match: { "/order": 7 }, digest: "0".repeat(64) };
    agent.calls(workflow, [wait]);
    await agent.next("accepted");
    const event = { project: "demo", name: "paid", by: "test" };
    await journey.runs.sendEvent({ ...event, id: "e1", value: { json: '{"order":6}' } });
    await journey.runs.sendEvent({ ...event, id: "e2", value: { json: '{"order":7}' } });
    const entries = await agent.entries((entry) => entry.e === "settled");
    expect(entries.at(-1)).toMatchObject({ key: "event:paid#1", value: { json: '{"order":7}' } });
  });

  it("opens a child run, whose end settles the parent's call", async () => {
    const journey = await start();
    const agent = await connect(journey);
    await journey.open();
    const workflow = await agent.lease();
    const call = { kind: "workflow", key: "child#1", name: "child", input: { json: "5" }, digest: "0".repeat(64) };
    agent.calls(workflow, [{ ...call, awaited: true }]);
    const child = await agent.lease();
    expect(child).toMatchObject({ kind: "workflow", name: "child", input: { json: "5" } });
    agent.done(child, "from the child");
    const entries = await agent.entries((entry) => entry.e === "settled");
    expect(entries.at(-1)).toMatchObject({ key: "child#1", value: { json: '"from the child"' } });
  });

  it("C23 cancels what a run has open, tells its agent to stop, and ends it as cancelled", async () => {
    const journey = await start();
    const agent = await connect(journey, { tasks: 1, workflows: 1 });
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [taskCall("work#1"), taskCall("work#2")]);
    const work = await agent.lease();
    await journey.runs.cancelRun({ run, reason: "changed my mind", by: "test" });
    await agent.next("stop");
    agent.report(work, {
      kind: "cancelled",
      failure: { type: "CancelledError", message: "stopped", retryable: false },
    });
    const open = async () => [await task(journey, run, "work#1"), await task(journey, run, "work#2")];
    await until(async () => (await open()).every(({ state }) => state === "cancelled"));
    agent.fail(workflow, { type: "CancelledError" });
    await ended(journey, run);
    expect(await journey.read(run)).toMatchObject({ state: "cancelled", cancel: { reason: "changed my mind" } });
  });

  it("C14 tells an agent again, when it is back, to stop what was cancelled meanwhile", async () => {
    const journey = await start();
    const agent = await connect(journey, { tasks: 1, workflows: 1 });
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [taskCall("work#1")]);
    const { task: id, fence } = await agent.lease();
    agent.cut();
    await journey.runs.cancelRun({ run, reason: "too late", by: "test" });
    await until(async () => (await task(journey, run, "work#1")).cancelReason !== null);
    const again = new FakeAgent();
    journey.fleet.accept(again.socket);
    again.hello({ leases: [{ task: id, fence }] });
    expect(await again.next("stop")).toMatchObject({ task: id, fence, reason: "too late" });
  });

  it("C23 goes on as a new run after a restart", async () => {
    const journey = await start();
    const agent = await connect(journey);
    const run = await journey.open();
    agent.report(await agent.lease(), { kind: "restart", input: { json: "2" } });
    const successor = await agent.lease();
    expect(successor).toMatchObject({ kind: "workflow", input: { json: "2" }, journalEnd: 1 });
    expect(await journey.read(run)).toMatchObject({ state: "restarted", next: successor.task.slice(0, 32) });
  });

  it("C23 moves signals that nobody has read over to the run that goes on", async () => {
    const journey = await start();
    const agent = await connect(journey);
    const run = await journey.open();
    const workflow = await agent.lease();
    for (const id of ["s1", "s2"]) {
      await journey.runs.signalRun({ run, name: "go", id, value: { json: `"${id}"` }, by: "test" });
    }
    agent.calls(workflow, [{ kind: "signal", key: "signal:go#1", name: "go", digest: "0".repeat(64) }], 3);
    await agent.next("accepted");
    agent.report(workflow, { kind: "restart", input: { json: "2" } });
    expect(await agent.lease()).toMatchObject({ journalEnd: 2 });
    const entries = await agent.entries((entry) => entry.e === "signal" && entry.id === "s2");
    expect(entries.filter((entry) => entry.e === "signal").slice(-1)).toMatchObject([
      { id: "s2", value: { json: '"s2"' } },
    ]);
  });

  it("C23 takes a workflow's own error for what it is, also when its name is one of those that mean a crash", async () => {
    const journey = await start();
    const agent = await connect(journey);
    const run = await journey.open();
    const failure = { type: "TimedOut", message: "the wait was over", retryable: true };
    agent.report(await agent.lease(), { kind: "fail", failure, answered: true });
    await ended(journey, run);
    expect(await journey.read(run)).toMatchObject({ state: "failed", failure });
  });

  it("C23 ends a workflow whose process crashes five times at the same place", async () => {
    const journey = await start();
    const agent = await connect(journey);
    const run = await journey.open();
    for (let crash = 1; crash <= 5; crash += 1) {
      const failure = { type: "ProgramExited", message: "exit 1", retryable: true };
      agent.report(await agent.lease(), { kind: "fail", failure }, { given: 1 });
    }
    await ended(journey, run);
    expect(await journey.read(run)).toMatchObject({
      failure: { type: "WorkflowCrashLoop", cause: { type: "ProgramExited" } },
    });
  });

  it("C23 replays a workflow that crashes while its journal grows, also when no process gets as far as its journal", async () => {
    const journey = await start();
    const agent = await connect(journey);
    const run = await journey.open();
    const failure = { type: "ProgramExited", message: "exit 1", retryable: true };
    const crash = async () => agent.report(await agent.lease(), { kind: "fail", failure }, { given: 0 });
    for (let n = 1; n <= 7; n += 1) {
      await crash();
      await journey.runs.signalRun({ run, name: "say", id: `s${n}`, value: { json: "1" }, by: "test" });
    }
    for (let n = 1; n <= 4; n += 1) await crash();
    agent.done(await agent.lease(), "done");
    await ended(journey, run);
    expect(await journey.read(run)).toMatchObject({ state: "succeeded" });
  });

  it("C23 retries a failed run from the call that failed, keeping what had succeeded", async () => {
    const journey = await start();
    const agent = await connect(journey);
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [taskCall("work#1")]);
    agent.done(await agent.lease(), "kept");
    agent.calls(workflow, [taskCall("other#1")]);
    agent.fail(await agent.lease());
    await agent.entries((entry) => entry.e === "settled" && entry.key === ("other#1" as CallKey));
    agent.fail(workflow, { type: "TaskFailed" });
    await ended(journey, run);
    const again = await journey.runs.retryRun({ run, by: "test" });
    const lease = await agent.lease();
    expect(lease.task.slice(0, 32)).toBe(again);
    const entries = await agent.entries((entry) => entry.e === "settled");
    expect(entries.filter((entry) => entry.e !== "note")).toMatchObject([
      { e: "called", key: "work#1" },
      { e: "settled", key: "work#1", value: { json: '"kept"' } },
    ]);
  });

  it("fails a call to a task type that its project does not have, and says what there is", async () => {
    const journey = await start();
    const agent = await connect(journey);
    await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [taskCall("nothing#1"), taskCall("far/away#1", { name: "far/away" })]);
    const entries = await agent.entries((entry) => entry.e === "settled" && entry.key === ("far/away#1" as CallKey));
    const failures = entries.flatMap((entry) => (entry.e === "settled" ? [entry.failure] : []));
    expect(failures).toMatchObject([
      { type: "UnknownTaskType", message: expect.stringContaining("work, other") },
      { type: "UnknownTaskType", message: expect.stringContaining("no project of that name") },
    ]);
  });

  it("C14 voids an older connection of an agent and keeps its leases over a lost one", async () => {
    const journey = await start();
    const agent = await connect(journey);
    await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [taskCall("work#1"), taskCall("work#2")]);
    const [kept, omitted] = await agent.leases(2);
    if (!kept || !omitted) throw new Error("two leases");
    const first = agent.received.find((frame) => frame.t === "welcome");
    agent.cut();
    const again = new FakeAgent();
    journey.fleet.accept(again.socket);
    again.hello({
      leases: [
        { task: workflow.task, fence: workflow.fence, given: 3 },
        { task: kept.task, fence: kept.fence },
        { task: kept.task, fence: kept.fence - 1 },
      ],
    });
    const welcome = await again.next("welcome");
    expect(welcome.session).toBeGreaterThan(first?.session ?? Number.NaN);
    expect(welcome.leases.map(({ verdict }) => verdict)).toEqual(["keep", "keep", "stale"]);
    again.credit(4, 4);
    expect(await again.lease()).toMatchObject({ task: omitted.task });
    again.done(kept, 1);
    const entries = await again.entries((entry) => entry.e === "settled");
    expect(entries.map(({ p }) => p)).toEqual([4]);
  });

  it("C24 takes further signals once earlier ones have been taken, and refuses a thousand and first unread one", async () => {
    const journey = await start();
    const agent = await connect(journey, { tasks: 0, workflows: 1 });
    const run = await journey.open();
    const workflow = await agent.lease();
    const signal = (id: string) => journey.runs.signalRun({ run, name: "go", id, value: { json: "1" }, by: "test" });
    await Promise.all(Array.from({ length: 1_000 }, (_, index) => signal(`s${index}`)));
    expect(await signal("one too many")).toEqual({ kind: "full" });
    agent.calls(workflow, [{ kind: "signal", key: "signal:go#1", name: "go", digest: "0".repeat(64) }]);
    await agent.next("accepted");
    expect(await signal("now there is room")).toEqual({ kind: "done" });
    expect(await task(journey, run, "signal:go#1")).toMatchObject({ state: "succeeded" });
  });

  it("C22 stores values as blobs once a run has eight megabytes of them inline", async () => {
    const blobs = new Map<string, number>();
    const put = async (digest: string, bytes: Uint8Array) => {
      blobs.set(digest, bytes.length);
      return { bytes: bytes.length };
    };
    const journey = await start({ blobs: { put } as unknown as BlobStore });
    const agent = await connect(journey, { tasks: 0, workflows: 1 });
    const run = await journey.open();
    const workflow = await agent.lease();
    const json = JSON.stringify("x".repeat(16_000));
    const calls = Array.from({ length: 530 }, (_, index) => taskCall(`work#${index + 1}`, { input: { json } }));
    for (let from = 0; from < calls.length; from += 50) agent.calls(workflow, calls.slice(from, from + 50));
    await until(async () => (await task(journey, run, "work#530")) !== null);
    expect(await task(journey, run, "work#1")).toMatchObject({ input: { json } });
    expect(await task(journey, run, "work#530")).toMatchObject({ input: { bytes: json.length } });
    expect(blobs.size).toBe(1);
  });

  it("A54 closes a connection that sends what is not frames, and goes on with the others", async () => {
    const journey = await start();
    const agent = await connect(journey);
    agent.sendText('[{"t":"credit","tasks":');
    expect(agent.closedWith).toMatchObject({ code: 1007 });
    const other = await connect(journey, { tasks: 1, workflows: 1 }, new FakeAgent(`agt_${"0".repeat(25)}3`));
    await journey.open();
    expect(await other.lease()).toMatchObject({ kind: "workflow" });
  });

  it("A70 tells a repeated request to open a run from a reused key", async () => {
    const journey = await start();
    const request = (digest: string) =>
      journey.runs.openRun({
        project: "demo",
        workflow: "main",
        input: { json: "{}" },
        trigger: { kind: "manual", name: null, by: "test" },
        identity: { source: "api", key: "k", digest },
      });
    const [first, second] = await Promise.all([request("a"), request("a")]);
    expect([first.kind, second.kind].sort()).toEqual(["opened", "repeated"]);
    expect(first.run).toBe(second.run);
    expect(await request("b")).toEqual({ kind: "reused", run: first.run });
  });
});
