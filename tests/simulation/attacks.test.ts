import { describe, expect, it } from "vitest";
import { type RunRecord, runKey, type TaskRecord, taskKey } from "#coordinator/records.ts";
import { readJournal } from "#coordinator/state/read-journal.ts";
import { type CallKey, type RunId, taskId } from "#shared/domain/ids.ts";
import type { AgentFrame, CoordinatorFrame } from "#shared/protocol/agent.ts";
import type { Cluster } from "./cluster.ts";
import { quiet } from "./faults.ts";
import { allRuns } from "./recount.ts";
import { expectRest, openRun, pass, said, stage } from "./stage.ts";

async function recordOf<T>(cluster: Cluster, key: ReturnType<typeof runKey>): Promise<T> {
  const { found } = await cluster.room.base.get([key]);
  return JSON.parse(found[0]?.value ?? "null") as T;
}
const taskOf = (cluster: Cluster, run: RunId | null, key: string) =>
  recordOf<TaskRecord>(cluster, taskKey(taskId(run as RunId, key as CallKey)));
const runOf = (cluster: Cluster, run: RunId | null) => recordOf<RunRecord>(cluster, runKey(run as RunId));

const reportsIn = (text: string) =>
  (JSON.parse(text) as AgentFrame[]).filter((frame) => frame.t === "report") as Extract<AgentFrame, { t: "report" }>[];

describe("several coordinators", () => {
  it.each([1, 2, 3])(
    "A11 fire each occasion and each timer once, however many of them look (seed %i)",
    async (seed) => {
      const triggers = [
        {
          kind: "cron",
          name: "often",
          workflow: "main",
          cron: "* * * * * *",
          timezone: "UTC",
          input: { steps: [], restarts: 0, before: [] },
        },
      ] as const;
      const cluster = await stage({ seed, coordinators: 3, agents: 2, partitions: 3, triggers });
      cluster.room.slowness = 40;
      const asked = await openRun(
        cluster,
        { do: "sleep", ms: 1_000 },
        { do: "flaky", fails: 3 },
        { do: "sleep", ms: 0 },
      );
      await pass(cluster, 12_000);
      const occasions = new Map<string, number>();
      for (const run of await allRuns(cluster)) {
        const { trigger, createdAtMs, input } = await runOf(cluster, run);
        expect(input).toBeDefined();
        if (trigger.kind !== "cron") continue;
        const second = String(Math.floor(createdAtMs / 1_000));
        occasions.set(second, (occasions.get(second) ?? 0) + 1);
      }
      expect(occasions.size).toBeGreaterThan(8);
      // An occasion that is late by the slow engine falls into the next second: two, and never more.
      expect(Math.max(...occasions.values())).toBeLessThanOrEqual(2);
      const total = [...occasions.values()].reduce((sum, count) => sum + count, 0);
      const seconds = cluster.scheduler.nowMs / 1_000;
      expect(total).toBeLessThanOrEqual(seconds + 1);
      const journal = await readJournal(cluster.room.base, asked.run as RunId);
      expect(journal.filter(({ value }) => value.includes('"retried"'))).toHaveLength(3);
    },
  );

  it("A12 know by the key what an answer that came too late did: one run a key, and every mark once", async () => {
    const engine = { ...quiet.engine, loseAnswer: 0.3, applyLate: 0.3, delayMsMax: 8_000 };
    const cluster = await stage({ coordinators: 2, agents: 2, partitions: 2, engine });
    for (let count = 0; count < 6; count += 1) {
      cluster.clients.openRun({ steps: [{ do: "await", value: count }], restarts: 0, before: [] });
      cluster.clients.addMarks();
    }
    await pass(cluster, 20_000);
    await expectRest(cluster);
    expect(await allRuns(cluster)).toHaveLength(6);
  });
});

describe("a report", () => {
  it("A15 that comes when its lease has run out and another has settled the task changes nothing", async () => {
    const cluster = await stage({ agents: 2, coordinators: 2, leaseTtlMs: 2_000 });
    let late: string[] = [];
    let isFirst = true;
    // Of the first attempt nothing arrives in time: no acceptance, no renewal, and its report only when it is all over.
    cluster.network.tamper.up = (text) => {
      const frames = JSON.parse(text) as AgentFrame[];
      const isReport = frames.some((frame) => frame.t === "report" && frame.reports[0]?.task.endsWith("/echo#1"));
      if (!isReport || !isFirst) {
        return [
          JSON.stringify(frames.filter(({ t }) => t !== "leased" && t !== "started" && t !== "renew")),
          ...release(),
        ];
      }
      isFirst = false;
      late.push(text);
      return [];
    };
    let released = false;
    const release = (): string[] => (released ? late.splice(0) : []);
    const asked = await openRun(cluster, { do: "await", value: 5 }, { do: "sleep", ms: 8_000 });
    await pass(cluster, 9_000);
    const before = await taskOf(cluster, asked.run, "echo#1");
    expect(before).toMatchObject({ state: "succeeded", output: { json: "5" } });
    expect(late).toHaveLength(1);
    released = true;
    await expectRest(cluster);
    late = [];
    expect(said(cluster, /← c\d \[.*"t":"stale".*echo#1/)).toBeGreaterThan(0);
    expect(await taskOf(cluster, asked.run, "echo#1")).toEqual(before);
  });

  it("A16 that comes twice has the same receipt, and settles once", async () => {
    const cluster = await stage();
    cluster.network.tamper.up = (text) => (reportsIn(text).length > 0 ? [text, text] : [text]);
    const asked = await openRun(cluster, { do: "fan", width: 5 }, { do: "chain", length: 3 });
    await expectRest(cluster);
    expect((await runOf(cluster, asked.run)).state).toBe("succeeded");
  });

  it("A17 that contradicts an accepted one under the same fence is refused: the first wins", async () => {
    const cluster = await stage();
    const contradictions = new Map<number, string>();
    const due: string[] = [];
    // With the next message after the first has been accepted.
    cluster.network.tamper = {
      down(text) {
        for (const frame of JSON.parse(text) as CoordinatorFrame[]) {
          for (const [seq] of frame.t === "accepted" ? frame.ranges : []) {
            const said = contradictions.get(seq);
            contradictions.delete(seq);
            if (said !== undefined) due.push(said);
          }
        }
        return [text];
      },
      up(text) {
        const arriving = [...due.splice(0), text];
        for (const frame of reportsIn(text)) {
          const reports = frame.reports.map((report) => ({ ...report, result: contradiction }));
          contradictions.set(frame.seq, JSON.stringify([{ ...frame, seq: frame.seq + 1_000_000, reports }]));
        }
        return arriving;
      },
    };
    const asked = await openRun(cluster, { do: "fan", width: 4 }, { do: "await", value: 3 });
    await expectRest(cluster);
    expect((await runOf(cluster, asked.run)).state).toBe("succeeded");
    expect(said(cluster, /another report/)).toBeGreaterThan(0);
  });
});

const contradiction = {
  kind: "fail",
  failure: { type: "Error", message: "another report", retryable: false },
  answered: true,
};

describe("time", () => {
  it.each([1, 2, 3, 4])(
    "A24 that is set by a day anywhere ends no lease early, and makes no duration negative (seed %i)",
    async (seed) => {
      const cluster = await stage({ seed, agents: 3, coordinators: 2, partitions: 2, leaseTtlMs: 2_000 });
      const random = cluster.random("clocks");
      cluster.world.lastsMs = () => 5_500;
      const asked = await openRun(cluster, { do: "fan", width: 3 }, { do: "sleep", ms: 2_000 });
      const walls = [
        ...cluster.agents.map(({ machine }) => machine.wall),
        ...cluster.coordinators.map(({ wall }) => wall),
      ];
      for (let count = 0; count < 30; count += 1) {
        const wall = walls[random.between(0, walls.length - 1)];
        if (wall) wall.offsetMs += random.between(-86_400_000, 86_400_000);
        if (count % 5 === 0) cluster.room.wall.offsetMs -= random.between(0, 86_400_000);
        await pass(cluster, 1_000);
      }
      await expectRest(cluster);
      const keys = new Set(cluster.world.executions.map(({ task }) => task));
      expect(cluster.world.executions).toHaveLength(keys.size);
      for (const name of keys) {
        const task = await taskOf(cluster, asked.run, name.slice(33));
        expect(task.attempts.map(({ outcome, ranMs }) => [outcome, ranMs >= 0])).toEqual([["succeeded", true]]);
        expect(task.endedAtMs).toBeGreaterThanOrEqual(task.createdAtMs);
      }
      const times = (await readJournal(cluster.room.base, asked.run as RunId)).map(({ atMs }) => atMs);
      expect([...times].sort((a, b) => a - b)).toEqual(times);
    },
  );
});

describe("a connection", () => {
  it("A25 that is half open is left by both sides when two heartbeats have gone by", async () => {
    const cluster = await stage();
    await pass(cluster, 15_000);
    const [connection] = cluster.network.open;
    connection?.silence();
    const startedMs = cluster.scheduler.nowMs;
    const left = () => said(cluster, /^a1\.1 warn Lost the coordinator/) > 0;
    await cluster.scheduler.runUntil(startedMs + 60_000, left);
    // The agent pings at a third of the time to live: here each 2 s.
    expect(cluster.scheduler.nowMs - startedMs).toBeLessThanOrEqual(3 * 2_000 + 100);
    const gone = () => connection !== undefined && !cluster.network.open.has(connection);
    await cluster.scheduler.runUntil(startedMs + 60_000, gone);
    expect(cluster.scheduler.nowMs - startedMs).toBeLessThanOrEqual(3 * 10_000 + 100);
    await expectRest(cluster);
  });
});

describe("a cancel", () => {
  it("A28 that races with the run's completion leaves one end, the one that was committed first", async () => {
    const states = new Set<string>();
    for (let index = 0; index < 40; index += 1) {
      const cluster = await stage({ seed: index + 1, coordinators: 2, agents: 2 });
      const asked = await openRun(cluster, { do: "await", value: 1 }, { do: "await", value: 2 });
      await pass(cluster, index * 4);
      cluster.clients.cancel(asked);
      await expectRest(cluster);
      const { state, cancel } = await runOf(cluster, asked.run);
      states.add(`${state} ${cancel === null ? "and never cancelled" : "after a cancel"}`);
      expect(asked.cancelAcknowledged).toBe(cancel !== null);
    }
    // It was a race.
    expect(states).toContain("cancelled after a cancel");
    expect(states).toContain("succeeded and never cancelled");
    expect(states).not.toContain("cancelled and never cancelled");
  }, 60_000);
});

describe("a peer of the next version", () => {
  it("A30 that says something new is refused by the rule and served again, and what it adds to frames is passed over", async () => {
    const cluster = await stage({ agents: 2, coordinators: 2 });
    let messages = 0;
    const novel = (text: string): string[] => {
      messages += 1;
      const frames = (JSON.parse(text) as object[]).map((frame) => ({ ...frame, novelty: { deep: [1] } }));
      // A frame that we do not know, now and then; unknown fields all the time.
      const more = messages % 25 === 0 ? [{ t: "novelty", of: "N+1" }] : [];
      return [JSON.stringify([...frames, ...more])];
    };
    cluster.network.tamper = { up: novel, down: novel };
    await openRun(
      cluster,
      { do: "fan", width: 6 },
      { do: "chain", length: 4 },
      { do: "sleep", ms: 500 },
      { do: "await", value: 1 },
    );
    await pass(cluster, 20_000);
    expect(said(cluster, /malformed frame|does not fit the protocol/)).toBeGreaterThan(0);
    cluster.network.tamper = { up: (text) => [text], down: (text) => [text] };
    cluster.broken.length = 0;
    await expectRest(cluster);
  });
});
