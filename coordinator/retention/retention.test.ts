import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type AgentId, type RunId, type Sha256, sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { FakeAgent, taskCall } from "../../tests/support/fake-agent.ts";
import {
  dayMs,
  hourMs,
  minuteMs,
  type RetentionStand,
  retentionStand,
  sweepAll,
  until,
} from "../../tests/support/retention-stand.ts";
import { auditLog, auditWrite } from "../state/audit.ts";
import { sendEvent } from "../triggers/events.ts";
import { auditPerSweepMax } from "./trim-audit.ts";

let stand: RetentionStand;
beforeEach(() => {
  stand = retentionStand();
});
afterEach(() => stand.close());

type Journey = Awaited<ReturnType<RetentionStand["journey"]>>;
const digest = "0".repeat(64);
const named = async (pattern: RegExp) => (await stand.engine.contents()).filter((name) => pattern.test(name));
const sweep = () => sweepAll(stand, stand.coordinator().retention);

describe("events", () => {
  const paid = { project: "demo", name: "paid", by: "test" };
  const ofTopic = () => named(/\}(event|events|events-cursor|topic)\/|kept\/topics|walks/);
  const walked = () => until(async () => (await named(/\}walks /)).length === 0, "all events are walked");

  it("C24 are kept with their ids for a day, and forgotten with their topic then", async () => {
    const journey = await stand.journey();
    const value = Buffer.from(JSON.stringify("v".repeat(20_000)));
    await journey.blobs.put(sha256(value), value, value.length);
    const blob = { blob: sha256(value), bytes: value.length };
    const first = await journey.runs.sendEvent({ ...paid, id: "e1", value: blob });
    await walked();
    stand.clock.advance(23 * hourMs);
    await journey.runs.sendEvent({ ...paid, id: "e2", value: { json: "2" } });
    await walked();
    await sweep();
    expect(await named(/\}event\//)).toHaveLength(2);
    await journey.runs.sendEvent({ ...paid, id: "e1", value: blob });
    stand.clock.advance(2 * hourMs);
    await sweep();
    expect(await named(/\}event\//)).toHaveLength(1);
    expect(first.position).toBe(1);
    // Positions go on for as long as there is an event.
    expect(await journey.runs.sendEvent({ ...paid, id: "e3", value: { json: "3" } })).toEqual({ position: 3 });
    await walked();
    journey.close();
    stand.clock.advance(25 * hourMs);
    await sweep();
    expect(await ofTopic()).toEqual([]);
    expect(await named(/kept\/blobs/)).toEqual([]);
    const later = await stand.journey();
    expect(await later.runs.sendEvent({ ...paid, id: "e1", value: { json: "1" } })).toEqual({ position: 1 });
    await walked();
    later.close();
  });

  it("C24 are kept for 15 minutes at least, and a wait finds those since its call also in a log that was trimmed", async () => {
    const journey = await stand.journey();
    const { agent } = journey;
    for (let n = 0; n < 250; n += 1) {
      await journey.runs.sendEvent({ ...paid, id: `old ${n}`, value: { json: `{"n":${n}}` } });
    }
    await walked();
    stand.clock.advance(14 * minuteMs);
    const hasty = stand.coordinator({ eventsMs: 1_000 });
    await sweepAll(stand, hasty.retention);
    expect(await named(/\}event\//)).toHaveLength(250);
    const run = await journey.open();
    const workflow = await agent.lease();
    await journey.runs.sendEvent({ ...paid, id: "early", value: { json: '{"n":7}' } });
    await walked();
    stand.clock.advance(2 * minuteMs);
    await sweepAll(stand, hasty.retention);
    expect(await named(/\}event\//)).toHaveLength(1);
    const wait = { kind: "event", key: "event:paid#1", name: "paid", match: { "/n": 7 }, digest };
    agent.calls(workflow, [wait]);
    await until(async () => (await named(/\}subscriptions\//)).length === 1, "the wait");
    await journey.runs.sendEvent({ ...paid, id: "late", value: { json: '{"n":7,"late":true}' } });
    const entries = await agent.entries((entry) => entry.e === "settled");
    expect(entries.at(-1)).toMatchObject({ key: "event:paid#1", value: { json: '{"n":7,"late":true}' } });
    expect(await journey.read(run)).toMatchObject({ state: "open" });
    journey.close();
  });

  it("C24 that no walk has taken to the waits yet stay, however old", async () => {
    (await stand.journey()).close();
    const { mover, retention } = stand.coordinator();
    // Accepted by a coordinator that ended before it walked.
    await sendEvent(
      { engine: stand.engine, mover, partitions: stand.partitions.length },
      { ...paid, id: "e1", value: { json: "1" } },
    );
    stand.clock.advance(3 * dayMs);
    await sweepAll(stand, retention);
    expect(await named(/\}event\//)).toHaveLength(1);
    const later = await stand.journey();
    await walked();
    later.close();
    await sweepAll(stand, retention);
    expect(await ofTopic()).toEqual([]);
  });
});

describe("agents", () => {
  it("C9 are forgotten a while after they left, and never while they are connected", async () => {
    const journey = await stand.journey();
    const gone = new FakeAgent(`agt_${"0".repeat(25)}2` as AgentId);
    journey.fleet.accept(gone.socket);
    gone.hello();
    await gone.next("welcome");
    gone.cut();
    const connected = () => named(/\}agents? ?\/?/);
    await until(async () => {
      const { found } = await stand.engine.get((await named(/\}agent\/.*2$/)) as never);
      return found.length === 1 && JSON.parse(found[0]?.value ?? "{}").connected === false;
    }, "it has left");
    stand.clock.advance(29 * dayMs);
    await sweep();
    expect(await connected()).toHaveLength(4);
    stand.clock.advance(2 * dayMs);
    await sweep();
    expect((await connected()).join()).not.toContain("2");
    expect(await connected()).toHaveLength(2);
    expect(await named(/kept\/agents/)).toHaveLength(1);
    journey.close();
  });
});

describe("releases", () => {
  const manifestOf = (note: string, binary: Sha256) => ({
    salt: 1,
    project: "shop",
    description: {
      protocol: 1,
      sdk: { language: "none", version: "0" },
      workflows: [{ name: "main", description: note, input: true, output: true }],
      tasks: [{ name: "score", input: true, output: true, checks: [], options: {} }],
    },
    triggers: [],
    binaries: { "linux-x64": { sha256: binary, bytes: 8 } },
  });
  async function register(journey: Journey, note: string): Promise<{ id: string; binary: Sha256 }> {
    const bytes = Buffer.from(note.padEnd(8, "."));
    await journey.blobs.put(sha256(bytes), bytes, bytes.length);
    const { release } = await journey.registry.registerRelease({
      manifest: manifestOf(note, sha256(bytes)),
      by: "test",
    });
    return { id: release, binary: sha256(bytes) };
  }
  const openRun = (journey: Journey, project = "shop") =>
    journey.runs.openRun({
      project,
      workflow: "main",
      input: { json: "1" },
      trigger: { kind: "manual", name: null, by: "test" },
    });
  const isThere = async (id: string) => (await named(/\}release\//)).some((name) => name.endsWith(id));
  async function days(count: number): Promise<void> {
    for (let day = 0; day < count; day += 1) {
      stand.clock.advance(dayMs);
      await sweep();
    }
  }

  it("C9 leave 90 days after others took their place, but for the newest, with their binaries", async () => {
    const journey = await stand.journey();
    const all: { id: string; binary: Sha256 }[] = [];
    for (let n = 0; n < limits.keepReleasesNewest + 2; n += 1) {
      all.push(await register(journey, `r${n}`));
      stand.clock.advance(minuteMs);
    }
    journey.close();
    stand.clock.advance(89 * dayMs);
    await sweep();
    for (const { id } of all) expect(await isThere(id)).toBe(true);
    await days(5);
    const kept = await Promise.all(all.map(({ id }) => isThere(id)));
    expect(kept).toEqual(all.map((_, index) => index >= 2));
    expect(all.map(({ binary }) => stand.store.blobs.has(binary))).toEqual(kept);
    expect(await named(/releases\/shop/)).toHaveLength(limits.keepReleasesNewest);
  });

  it("C9 stay for as long as a run needs them: one of theirs, or one that calls their tasks", async () => {
    const journey = await stand.journey();
    const { agent } = journey;
    const old = await register(journey, "old");
    const { run: own } = await openRun(journey);
    const ownFlow = await agent.lease();
    const other = await journey.open();
    const otherFlow = await agent.lease();
    agent.calls(otherFlow, [taskCall("work#1", { name: "shop/score" })]);
    agent.done(await agent.lease());
    for (let n = 0; n < limits.keepReleasesNewest; n += 1) await register(journey, `r${n}`);
    journey.close();
    stand.clock.advance(100 * dayMs);
    await sweep();
    expect(await isThere(old.id)).toBe(true);
    expect(stand.store.blobs.has(old.binary)).toBe(true);
    const later = await stand.journey([ownFlow, otherFlow]);
    later.agent.done(ownFlow);
    await until(async () => (await later.read(own)).endedAtMs !== null, "the end of its run");
    later.close();
    await days(33);
    expect(await isThere(old.id)).toBe(true);
    const last = await stand.journey([otherFlow]);
    last.agent.done(otherFlow);
    await until(async () => (await last.read(other)).endedAtMs !== null, "the end of the other's");
    last.close();
    await days(29);
    expect(await isThere(old.id)).toBe(true);
    await days(6);
    expect(await isThere(old.id)).toBe(false);
    expect(stand.store.blobs.has(old.binary)).toBe(false);
    expect(await named(/kept\/users/)).toEqual([]);
  });

  it("C9 that were made current again stay", async () => {
    const journey = await stand.journey();
    const old = await register(journey, "old");
    for (let n = 0; n < limits.keepReleasesNewest + 1; n += 1) await register(journey, `r${n}`);
    stand.clock.advance(10 * dayMs);
    await register(journey, "old");
    journey.close();
    await days(100);
    expect(await isThere(old.id)).toBe(true);
    expect(stand.store.blobs.has(old.binary)).toBe(true);
  });
});

describe("the audit log", () => {
  it("C9 loses what is older than a year, a bounded number of entries at a time", async () => {
    const [partition] = stand.partitions;
    if (!partition) throw new Error("there is a partition");
    const entry = auditWrite(partition, { actor: "a", action: "b", object: "c" }) as never;
    const write = (count: number) =>
      stand.engine.commit(partition, [{ checks: [], writes: Array.from({ length: count }, () => entry) }]);
    await write(auditPerSweepMax + 10);
    stand.clock.advance(364 * dayMs);
    await write(3);
    const { retention } = stand.coordinator();
    expect(await retention.sweep(partition)).toBe(false);
    stand.clock.advance(2 * dayMs);
    expect(await retention.sweep(partition)).toBe(true);
    expect((await stand.engine.read(auditLog(partition), 0, 1_000)).length).toBe(13);
    expect(await retention.sweep(partition)).toBe(false);
    const left = await stand.engine.read(auditLog(partition), 0, 1_000);
    expect(left.map(({ position }) => position)).toEqual([1, 2, 3].map((n) => auditPerSweepMax + 10 + n));
  });
});

describe("a child that restarted", () => {
  it("C23 is ended by its parent's end also when the run that it was opened as is removed", async () => {
    const journey = await stand.journey();
    const { agent } = journey;
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [{ kind: "workflow", key: "child#1", name: "child", digest, input: { json: "1" } }]);
    const first = await agent.lease();
    agent.report(first, { kind: "restart", input: { json: "2" } });
    const second = await agent.lease();
    const [before, after] = [first, second].map(({ task }) => task.slice(0, 32) as RunId);
    if (!before || !after) throw new Error("there are two runs");
    await until(async () => (await named(/\}closing /)).length === 0, "the first is closed");
    journey.close();
    stand.clock.advance(31 * dayMs);
    await sweep();
    expect(await journey.read(before)).toBeNull();
    const later = await stand.journey([workflow, second]);
    later.agent.done(workflow);
    await until(async () => (await later.read(run)).endedAtMs !== null, "the parent's end");
    await until(async () => (await later.read(after)).cancel !== null, "the child's cancel");
    later.close();
  });
});
