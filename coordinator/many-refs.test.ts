import { describe, expect, it } from "vitest";
import { type CallKey, partitionAt, type RunId, sha256, taskId, workflowKey } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Lease } from "#shared/protocol/agent.ts";
import type { Value } from "#shared/protocol/common.ts";
import { systemClock } from "#shared/system.ts";
import { type FakeAgent, taskCall } from "../tests/support/fake-agent.ts";
import {
  childCall,
  connect,
  ended,
  journalOf,
  meddle,
  pause,
  type Started,
  start,
  task,
  until,
} from "../tests/support/history-steps.ts";
import { memoryBlobs } from "../tests/support/memory-blobs.ts";
import type { Engine } from "./engine/engine.ts";
import { createMemoryEngine } from "./engine/memory/memory-engine.ts";
import { dependentsIndex, edgesIndex, linkingIndex, linkKey, resolvingIndex } from "./records.ts";

const count = 350;
const keys = Array.from({ length: count }, (_, index) => `work#${index + 1}`);
const many = (list: readonly string[] = keys, more: object = {}) =>
  taskCall("other#1", { manyRefs: { json: JSON.stringify(list) }, awaited: true, ...more });

describe("C22 a call whose argument holds more than 256 refs", () => {
  /** What of edges is still in indexes, of a task and of the calls that it was given. */
  async function leftOf({ engine }: Started, run: RunId, of = taskId(run, "other#1" as CallKey)): Promise<string[]> {
    const refs = keys.map((key) => taskId(run, key as CallKey));
    const indexes = [
      edgesIndex(of),
      ...refs.map(dependentsIndex),
      linkingIndex(partitionAt(0)),
      resolvingIndex(partitionAt(0)),
    ];
    const rows = await Promise.all(indexes.map((index) => engine.range(index, { limit: 1_000 })));
    const members = rows.flatMap((found, at) => found.rows.map(({ member }) => `${indexes[at]}: ${member}`));
    const { found } = await engine.get([linkKey(of)]);
    return [...members, ...(found[0]?.value ? [`link: ${found[0].value}`] : [])];
  }

  const nothingLeft = (journey: Started, run: RunId, of?: Lease["task"]) =>
    until(async () => (await leftOf(journey, run, of)).length === 0);

  /** The leases of the first calls, in the order of the calls: they are granted in another within a millisecond. */
  async function leaseWorks(agent: FakeAgent): Promise<Lease[]> {
    const numberOf = ({ task: id }: Lease) => Number(id.slice(id.indexOf("#") + 1));
    return (await agent.leases(count)).sort((a, b) => numberOf(a) - numberOf(b));
  }

  /** Publishes the calls, the last of which refers to the others, and answers the leases of the others. */
  async function fanOut(agent: FakeAgent, call: object = many()): Promise<{ workflow: Lease; works: Lease[] }> {
    const workflow = await agent.lease();
    agent.calls(workflow, [...keys.map((key) => taskCall(key)), call]);
    return { workflow, works: await leaseWorks(agent) };
  }

  const stateOf = async (journey: Started, run: RunId) => (await task(journey, run, "other#1"))?.state;

  it("is held until the last of them has settled, and is given all of their outputs as one blob", async () => {
    const blobs = memoryBlobs();
    const journey = await start({ blobs });
    const agent = await connect(journey, 1_000, 1);
    const run = await journey.open();
    const { works } = await fanOut(agent);
    for (const work of works.slice(1)) agent.done(work, work.task.slice(work.task.indexOf("/") + 1));
    await until(async () => (await task(journey, run, `work#${count}`)).endedAtMs !== null);
    expect(await stateOf(journey, run)).toBe("waiting");
    agent.done(works[0] as Lease, "first");
    const joined = await agent.lease();
    expect(joined).toMatchObject({ name: "other", manyRefs: { blobs: 0 } });
    expect(joined.refs).toBeUndefined();
    const { blob, bytes } = joined.manyRefs ?? { blob: sha256(""), bytes: 0 };
    const text = String(blobs.blobs.get(blob));
    expect(Buffer.byteLength(text)).toBe(bytes);
    const outputs = JSON.parse(text) as Record<string, Value>;
    expect(Object.keys(outputs)).toEqual(keys);
    expect(outputs["work#1"]).toEqual({ json: '"first"' });
    expect(outputs["work#350"]).toEqual({ json: '"work#350"' });
    expect(await leftOf(journey, run)).toEqual([]);
  });

  it("is journaled with the digest of the blob that lists them, and has the digest of its argument", async () => {
    const journey = await start();
    const agent = await connect(journey, 0, 1);
    const run = await journey.open();
    agent.calls(await agent.lease(), [...keys.map((key) => taskCall(key)), many()]);
    await until(async () => (await task(journey, run, "other#1")) !== null);
    const called = (await journalOf(journey, run)).find((entry) => entry.e === "called" && entry.key === "other#1");
    expect(called).toMatchObject({ manyRefs: sha256(JSON.stringify(keys)), digest: sha256("other#1") });
    expect(called).not.toHaveProperty("refs");
  });

  it("is ready at once when they have all settled before", async () => {
    const journey = await start();
    const agent = await connect(journey, 1_000, 1);
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(
      workflow,
      keys.map((key) => taskCall(key)),
    );
    for (const work of await agent.leases(count)) agent.done(work);
    await until(async () => (await task(journey, run, `work#${count}`)).endedAtMs !== null);
    agent.calls(workflow, [many()]);
    expect((await agent.lease()).name).toBe("other");
    expect(await leftOf(journey, run)).toEqual([]);
  });

  it("misses none that settles while its edges are being written", async () => {
    const memory = createMemoryEngine({ clock: systemClock });
    const slow: Engine["commit"] = async (...args) => {
      await pause(1);
      return memory.commit(...args);
    };
    const journey = await start({ engine: meddle(memory, { commit: slow }) });
    const agent = await connect(journey, 1_000, 1);
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(
      workflow,
      keys.map((key) => taskCall(key)),
    );
    const works = await leaseWorks(agent);
    agent.calls(workflow, [many()]);
    // From both ends, so that some are linked and settle, and some settle and are linked.
    for (let index = 0; index < count / 2; index += 1) {
      agent.done(works[index] as Lease);
      agent.done(works[count - 1 - index] as Lease);
      if (index % 10 === 0) await pause(1);
    }
    expect((await agent.lease()).name).toBe("other");
    expect(await leftOf(journey, run)).toEqual([]);
  });

  it("is linked on by another coordinator, from where the first one stopped", async () => {
    const blobs = memoryBlobs();
    const memory = createMemoryEngine({ clock: systemClock });
    let steps = 0;
    const commit: Engine["commit"] = async (name, batch, claim) => {
      const isStep = batch.some(({ writes }) =>
        writes.some((write) => write.kind === "set" && write.key.includes("}link/")),
      );
      if (isStep) steps += 1;
      if (steps > 2) return new Promise(() => undefined);
      return claim ? memory.commit(name, batch, claim) : memory.commit(name, batch);
    };
    const first = await start({ engine: meddle(memory, { commit }), blobs });
    const agent = await connect(first, 0, 1);
    const run = await first.open();
    agent.calls(await agent.lease(), [...keys.map((key) => taskCall(key)), many()]);
    await until(() => steps > 2);
    first.close();
    const second = await start({ engine: memory, blobs });
    await until(async () => (await memory.range(linkingIndex(partitionAt(0)), { limit: 1 })).rows.length === 0);
    const { rows } = await memory.range(edgesIndex(taskId(run, "other#1" as CallKey)), { limit: 1_000 });
    expect(rows).toHaveLength(count);
    const again = await connect(second, 1_000, 0, 2);
    for (const work of await again.leases(count)) again.done(work);
    expect((await again.lease()).name).toBe("other");
  });

  it("fails unexecuted when one of them has failed before, or fails later, and leaves no edge", async () => {
    for (const when of ["before", "after"]) {
      const journey = await start();
      const agent = await connect(journey, 1_000, 1);
      const run = await journey.open();
      const workflow = await agent.lease();
      agent.calls(
        workflow,
        keys.map((key) => taskCall(key)),
      );
      const works = await leaseWorks(agent);
      if (when === "after") {
        agent.calls(workflow, [many()]);
        await until(
          async () => (await journey.engine.range(linkingIndex(partitionAt(0)), { limit: 1 })).rows.length === 0,
        );
        await until(async () => (await stateOf(journey, run)) === "waiting");
      }
      agent.fail(works[222] as Lease);
      if (when === "before") {
        await until(async () => (await task(journey, run, "work#223")).state === "failed");
        agent.calls(workflow, [many()]);
      }
      await until(async () => (await stateOf(journey, run)) === "failed");
      expect((await task(journey, run, "other#1")).failure).toMatchObject({
        type: "DependencyFailed",
        message: expect.stringContaining("'work#223'"),
      });
      for (const work of works) if (work !== works[222]) agent.done(work);
      await nothingLeft(journey, run);
    }
  });

  it("is cancelled with its run, also while its edges are being written", async () => {
    const journey = await start();
    const agent = await connect(journey, 0, 1);
    const run = await journey.open();
    agent.calls(await agent.lease(), [...keys.map((key) => taskCall(key)), many()]);
    await until(async () => (await task(journey, run, "other#1")) !== null);
    await journey.runs.cancelRun({ run, reason: "enough", by: "test" });
    // It is cancelled itself, or fails with the first of its refs that is.
    await until(async () => (await task(journey, run, "other#1")).endedAtMs !== null);
    await nothingLeft(journey, run);
  });

  it.each([
    ["of a call that was not made", JSON.stringify([...keys, "never#1"]), "'never#1', which its run has not called"],
    ["that are no list of keys", '{"work#1":1}', "not a JSON array of call keys"],
    ["more than a run makes calls", JSON.stringify(Array(limits.refsPerCallMax + 1).fill("work#1")), "refsPerCallMax"],
  ])("fails with refs %s, and says so", async (_, json, message) => {
    const blobs = memoryBlobs();
    const journey = await start({ blobs });
    const agent = await connect(journey, 1_000, 1);
    const run = await journey.open();
    const list = Buffer.from(json);
    await blobs.put(sha256(list), list, list.length);
    const { works } = await fanOut(
      agent,
      taskCall("other#1", { manyRefs: { blob: sha256(list), bytes: list.length } }),
    );
    await until(async () => (await stateOf(journey, run)) === "failed");
    const { failure } = await task(journey, run, "other#1");
    expect(failure).toMatchObject({ type: "InvalidInput", message: expect.stringContaining(message) });
    for (const work of works) agent.done(work);
    await nothingLeft(journey, run);
  });

  it("fails when the list of its refs is a blob that does not exist", async () => {
    const journey = await start();
    const agent = await connect(journey, 0, 1);
    const run = await journey.open();
    agent.calls(await agent.lease(), [taskCall("other#1", { manyRefs: { blob: sha256("nothing"), bytes: 7 } })]);
    await until(async () => (await stateOf(journey, run)) === "failed");
    await nothingLeft(journey, run);
  });

  it("may be of a child workflow, whose run waits for them, and is retried with them", async () => {
    const journey = await start();
    const agent = await connect(journey, 1_000, 2);
    const run = await journey.open();
    const { works } = await fanOut(agent, childCall({ manyRefs: { json: JSON.stringify(keys) } }));
    for (const work of works) agent.done(work);
    const child = await agent.lease();
    expect(child).toMatchObject({ kind: "workflow", name: "child", manyRefs: { blobs: 0 } });
    const childRun = child.task.slice(0, child.task.indexOf("/")) as RunId;
    await nothingLeft(journey, run, taskId(childRun, workflowKey));
    agent.report(child, { kind: "fail", failure: { type: "Boom", message: "", retryable: false }, answered: true });
    await ended(journey, childRun);
    await journey.runs.retryRun({ run: childRun, by: "test" });
    expect((await agent.lease()).manyRefs).toEqual(child.manyRefs);
  });

  it("fails a child's run unexecuted when one of them fails", async () => {
    const journey = await start();
    const agent = await connect(journey, 1_000, 2);
    await journey.open();
    const { workflow, works } = await fanOut(agent, childCall({ manyRefs: { json: JSON.stringify(keys) } }));
    agent.fail(works[300] as Lease);
    const entries = await agent.entries((entry) => entry.e === "settled" && entry.key === "child#1");
    expect(entries.at(-1)).toMatchObject({ outcome: "failed", failure: { type: "DependencyFailed" } });
    agent.done(workflow);
  });
});
