import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CallKey, partitionOf, type RunId, runOfTask, type Sha256, type TaskId } from "#shared/domain/ids.ts";
import type { Lease } from "#shared/protocol/agent.ts";
import type { LogRow } from "#shared/protocol/api.ts";
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
import { createReadArchive } from "../logs/read-archive.ts";
import { readLogs } from "../logs/read-logs.ts";
import { outputLog } from "../records.ts";
import { type TaskLogRecord, taskLogKey } from "../state/log-records.ts";
import { markRun } from "./mark-run.ts";

let stand: RetentionStand;
beforeEach(() => {
  stand = retentionStand({ partitions: 1 });
});
afterEach(() => stand.close());

type Journey = Awaited<ReturnType<RetentionStand["journey"]>>;
const key = "work#1" as CallKey;

async function logs(journey: Journey, lease: Lease, from: number, texts: readonly string[]): Promise<void> {
  const { agent } = journey;
  for (const [index, text] of texts.entries()) {
    const chunk = { task: lease.task, fence: lease.fence, stream: "stdout", offset: 2 * (from + index), text, atMs: 1 };
    agent.send({ t: "logs", seq: agent.seq(), chunks: [chunk] });
    await agent.next("accepted");
  }
}

/** A run whose two tasks and workflow have written; the journey is closed. */
async function loggedRun(): Promise<{ run: RunId; task: TaskId; lease: Lease; other: Lease }> {
  const journey = await stand.journey();
  const { agent } = journey;
  const run = await journey.open();
  const workflow = await agent.lease();
  agent.calls(workflow, [taskCall("work#1"), taskCall("work#2")]);
  const leases = await agent.leases(2);
  const [one, two] = leases.sort((a, b) => (a.task < b.task ? -1 : 1));
  if (!one || !two) throw new Error("there are two leases");
  await logs(journey, one, 0, ["a\n", "b\n"]);
  await logs(journey, two, 0, ["x\n"]);
  await logs(journey, one, 2, ["c\n"]);
  await logs(journey, workflow, 0, ["w\n"]);
  for (const lease of leases) agent.done(lease);
  agent.done(workflow);
  await until(async () => (await journey.read(run)).endedAtMs !== null, "the run's end");
  journey.close();
  return { run, task: one.task, lease: one, other: two };
}

/** All of a log, so many rows a page; `between` happens after each page. */
async function readAll(run: RunId, options: { key?: CallKey; limit?: number; between?: () => Promise<void> } = {}) {
  const deps = { engine: stand.engine, readArchive: createReadArchive(stand.store) };
  const rows: LogRow[] = [];
  for (let after = 0; ; ) {
    const query = {
      run,
      ...(options.key === undefined ? {} : { key: options.key }),
      after,
      limit: options.limit ?? 100,
    };
    const page = await readLogs(deps, query);
    rows.push(...page);
    const last = page.at(-1);
    if (!last) return rows;
    after = last.position;
    await options.between?.();
  }
}

const textsOf = (rows: readonly LogRow[]) => rows.map(({ text }) => text?.trim()).join("");

describe("the log of a task that has ended", () => {
  it("C9 leaves the engine for a blob a while after, and reads as before", async () => {
    const { run, task } = await loggedRun();
    const { retention } = stand.coordinator();
    const before = { task: await readAll(run, { key }), run: await readAll(run) };
    await sweepAll(stand, retention);
    expect(stand.store.blobs.size).toBe(0);
    stand.clock.advance(6 * minuteMs);
    await sweepAll(stand, retention);
    expect(stand.store.blobs.size).toBe(3);
    expect(await stand.engine.read(outputLog(task), 0, 10)).toEqual([]);
    expect({ task: await readAll(run, { key }), run: await readAll(run) }).toEqual(before);
    expect(await readAll(run, { key, limit: 1 })).toEqual(before.task);
    expect(textsOf(before.run)).toBe("abxcw");
  });

  it("C9 is not archived any more once its run is being removed, which would leave the blob for ever", async () => {
    const { run } = await loggedRun();
    stand.clock.advance(31 * dayMs);
    const { retention } = stand.coordinator();
    // Marks the run, and archives no log of it yet.
    const { mover } = stand.coordinator();
    expect(await mover.move(partitionOf(run), markRun, { run, keepMs: 30 * dayMs })).toBe("marked");
    let steps = 0;
    const engine = Object.assign(Object.create(stand.engine), {
      async commit(...args: Parameters<typeof stand.engine.commit>) {
        steps += 1;
        // The step is made, and knows of no archive; now the log's turn comes.
        if (steps === 1) await retention.sweep(partitionOf(run));
        return stand.engine.commit(...args);
      },
    });
    await stand.coordinator({}, { engine }).retention.removeRun(run);
    expect(steps).toBeGreaterThan(0);
    for (const passMs of [25 * hourMs, 2 * hourMs]) {
      stand.clock.advance(passMs);
      await sweepAll(stand, retention);
    }
    expect((await stand.engine.contents()).filter((name) => name.includes(run))).toEqual([]);
    expect(stand.store.blobs.size).toBe(0);
  });

  it("C15 is read without gap or repeat by who is in the middle of it when it is archived", async () => {
    for (const pages of [1, 2]) {
      stand.close();
      stand = retentionStand({ partitions: 1 });
      const { run } = await loggedRun();
      const { retention } = stand.coordinator();
      stand.clock.advance(6 * minuteMs);
      let page = 0;
      const between = async () => {
        page += 1;
        if (page === pages) await sweepAll(stand, retention);
      };
      expect(textsOf(await readAll(run, { key, limit: 1, between }))).toBe("abc");
      page = 0;
      expect(textsOf(await readAll(run, { limit: 1, between }))).toBe("abxcw");
    }
  });

  it("C15 is read rightly when it is archived between the two looks of one read", async () => {
    const { run } = await loggedRun();
    const { retention } = stand.coordinator();
    stand.clock.advance(6 * minuteMs);
    for (const moment of ["read", "get"] as const) {
      let archived = false;
      const archive = async () => {
        if (!archived) await sweepAll(stand, retention);
        archived = true;
      };
      const engine = Object.assign(Object.create(stand.engine), {
        async read(...args: Parameters<typeof stand.engine.read>) {
          if (moment === "read") await archive();
          return stand.engine.read(...args);
        },
        async get(...args: Parameters<typeof stand.engine.get>) {
          const answer = await stand.engine.get(...args);
          if (moment === "get") await archive();
          return answer;
        },
      });
      const deps = { engine, readArchive: createReadArchive(stand.store) };
      expect(textsOf(await readLogs(deps, { run, key, after: 1, limit: 10 }))).toBe("bc");
    }
  });

  it("C9 goes on with what comes after it was archived, which is archived in its turn", async () => {
    const { run, lease } = await loggedRun();
    const { retention } = stand.coordinator();
    stand.clock.advance(6 * minuteMs);
    await sweepAll(stand, retention);
    const journey = await stand.journey();
    await logs(journey, lease, 2, ["c\n", "d\n", "e\n"]);
    expect(textsOf(await readAll(run, { key, limit: 2 }))).toBe("abcde");
    expect(textsOf(await readAll(run))).toBe("abxcwde");
    journey.close();
    stand.clock.advance(6 * minuteMs);
    await sweepAll(stand, retention);
    expect(await stand.engine.read(outputLog(lease.task), 0, 10)).toEqual([]);
    expect(textsOf(await readAll(run, { key, limit: 2 }))).toBe("abcde");
    expect(textsOf(await readAll(run))).toBe("abxcwde");
    // The archive before it is needed no more.
    for (let hours = 0; hours < 27; hours += 1) {
      stand.clock.advance(hourMs);
      await sweepAll(stand, retention);
    }
    expect(stand.store.blobs.size).toBe(3);
  });

  it("C9 stays in the engine while the task is open, and while the blob store fails", async () => {
    const journey = await stand.journey();
    const run = await journey.open();
    const workflow = await journey.agent.lease();
    await logs(journey, workflow, 0, ["a\n"]);
    journey.close();
    stand.clock.advance(hourMs);
    const { retention } = stand.coordinator();
    await sweepAll(stand, retention);
    expect(stand.store.blobs.size).toBe(0);
    const later = await stand.journey([workflow]);
    later.agent.done(workflow);
    await until(async () => (await later.read(run)).endedAtMs !== null, "the run's end");
    later.close();
    stand.clock.advance(6 * minuteMs);
    const { put } = stand.store;
    stand.store.put = () => Promise.reject(new Error("the store is full"));
    await expect(sweepAll(stand, retention)).rejects.toThrow("full");
    expect(textsOf(await readAll(run))).toBe("a");
    stand.store.put = put;
    await sweepAll(stand, retention);
    expect(stand.store.blobs.size).toBe(1);
    expect(textsOf(await readAll(run))).toBe("a");
  });

  it("C9 is archived although another, whose archive is damaged, cannot be", async () => {
    const { run, task, lease, other } = await loggedRun();
    const { retention } = stand.coordinator();
    stand.clock.advance(6 * minuteMs);
    await sweepAll(stand, retention);
    const journey = await stand.journey();
    await logs(journey, lease, 3, ["d\n"]);
    await logs(journey, other, 1, ["y\n"]);
    journey.close();
    const { found } = await stand.engine.get([taskLogKey(task)]);
    const { archive } = JSON.parse(found[0]?.value ?? "null") as TaskLogRecord;
    stand.store.blobs.set(archive?.blob as Sha256, Buffer.from("damaged"));
    stand.clock.advance(6 * minuteMs);
    await expect(retention.sweep(partitionOf(run))).rejects.toThrow("incorrect header");
    expect(await stand.engine.read(outputLog(other.task), 0, 10)).toEqual([]);
    expect(await stand.engine.read(outputLog(task), 0, 10)).toHaveLength(1);
  });

  it("C9 is dropped after its age, earlier than its run; what others wrote is read past it", async () => {
    const { run, task } = await loggedRun();
    const { retention } = stand.coordinator();
    stand.clock.advance(6 * minuteMs);
    await sweepAll(stand, retention);
    const journey = await stand.journey();
    const again = await stand.coordinator();
    stand.clock.advance(14 * dayMs - minuteMs);
    journey.close();
    await sweepAll(stand, again.retention);
    expect(textsOf(await readAll(run))).toBe("abxcw");
    stand.clock.advance(2 * minuteMs);
    await sweepAll(stand, again.retention);
    expect(await readAll(run)).toEqual([]);
    expect(await readAll(run, { key })).toEqual([]);
    expect(runOfTask(task)).toBe(run);
    for (let hours = 0; hours < 27; hours += 1) {
      stand.clock.advance(hourMs);
      await sweepAll(stand, retention);
    }
    expect(stand.store.blobs.size).toBe(0);
    expect(await journey.read(run)).toMatchObject({ state: "succeeded" });
  });

  it("C9 is archived once by several coordinators at the same time", async () => {
    const { run } = await loggedRun();
    stand.clock.advance(6 * minuteMs);
    await Promise.all([1, 2, 3].map(() => sweepAll(stand, stand.coordinator().retention)));
    expect(stand.store.blobs.size).toBe(3);
    expect(textsOf(await readAll(run))).toBe("abxcw");
  });
});
