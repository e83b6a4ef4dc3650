import { describe, expect, it } from "vitest";
import { partitionAt, type RunId, taskId } from "#shared/domain/ids.ts";
import { RandomCluster } from "../tests/support/random-cluster.ts";
import { type Engine, type Key, leasesIndex, queuesIndex } from "./engine/engine.ts";
import { countKey, type JournalRecord, type RunRecord, runKey, type TaskRecord, taskKey } from "./records.ts";
import { readJournal } from "./state/read-journal.ts";

describe("a random cluster", () => {
  /** Indexes that hold something for as long as their owners are kept. */
  const lasting = /^\{p0\}(runs|agents|kept\/.*|unread\/.*|mailbox\/.*)$/;

  async function leftIn(cluster: RandomCluster): Promise<string[]> {
    const indexes = [...cluster.indexes, leasesIndex(partitionAt(0)), queuesIndex(partitionAt(0))];
    const left: string[] = [];
    for (const index of indexes.filter((name) => !lasting.test(name))) {
      const { rows } = await cluster.engine.range(index, { limit: 1_000 });
      for (const { member } of rows) left.push(`${index}: ${member}`);
    }
    for (const run of await cluster.runs()) {
      if ((await recordOf<RunRecord>(cluster.engine, runKey(run))).endedAtMs === null) left.push(`open: ${run}`);
    }
    return left;
  }

  async function recordOf<T>(engine: Engine, key: Key): Promise<T> {
    return JSON.parse((await engine.get([key])).found[0]?.value ?? "null") as T;
  }

  /** What the journal says against the records and the counters. */
  async function checkRun(engine: Engine, run: RunId): Promise<void> {
    const journal = (await readJournal(engine, run)).map(({ value }) => JSON.parse(value) as JournalRecord);
    const keysOf = (e: "called" | "settled") => journal.flatMap((record) => (record.e === e ? [record.key] : []));
    const ends = journal.flatMap((record, index) => (record.e === "ended" ? [index] : []));
    expect(ends, `${run} ends once, with its last entry`).toEqual([journal.length - 1]);
    expect(new Set(keysOf("called")).size, `${run} journals each call once`).toBe(keysOf("called").length);
    expect(new Set(keysOf("settled")).size, `${run} settles each call once`).toBe(keysOf("settled").length);
    const counts = { succeeded: 0, failed: 0, cancelled: 0 };
    for (const key of keysOf("called")) {
      const record = await recordOf<TaskRecord>(engine, taskKey(taskId(run, key)));
      expect(["succeeded", "failed", "cancelled"], `${run} ${key} has ended`).toContain(record.state);
      counts[record.state as "failed"] += 1;
      const settled = journal.find((entry) => entry.e === "settled" && entry.key === key);
      const outcome = record.state === "failed" ? ["failed", "timedOut"] : [record.state];
      if (settled?.e === "settled") expect(outcome, `${run} ${key}`).toContain(settled.outcome);
    }
    const counted = { calls: keysOf("called").length, ...counts };
    for (const [what, count] of Object.entries(counted)) {
      const { found } = await engine.get([countKey(run, what as "calls")]);
      expect(Number(found[0]?.value ?? 0), `${run} counts what ${what}`).toBe(count);
    }
  }

  const { SALT_SEED } = process.env;
  const seeds = SALT_SEED?.split(",").map(Number) ?? [1, 2, 3, 4, 5, 6, 7, 8, 17, 46, 120, 224, 491];

  it.each(seeds)(
    "C28 comes to rest after its faults, with nothing left and each task settled once (seed %i)",
    async (seed) => {
      const cluster = new RandomCluster(seed);
      const rested = await cluster.live(async () => (await leftIn(cluster)).length === 0);
      expect(rested ? [] : await leftIn(cluster)).toEqual([]);
      expect(cluster.broken).toEqual([]);
      expect(cluster.agents.flatMap(({ violations }) => violations)).toEqual([]);
      for (const run of await cluster.runs()) await checkRun(cluster.engine, run);
      await cluster.close();
    },
  );
});
