import { expect, test } from "vitest";
import { partitionAt } from "#shared/domain/ids.ts";
import { leaseKey, leasesIndex, queuesIndex, type Write } from "../engine.ts";
import {
  append,
  claim,
  endIs,
  engine,
  enqueue,
  fewer,
  key,
  logOf,
  partition,
  rank,
  rows,
  set,
  stampIs,
  stampOf,
  textOf,
  tryWith,
  want,
  write,
} from "./subject.ts";

export function describeCommits(): void {
  test("G1 a transaction sees what the ones before it in the batch wrote", async () => {
    const { results } = await engine.commit(partition, [
      { checks: [stampIs("a", null), endIs("log", 0)], writes: [set("a", "s1"), append("log", "one")] },
      { checks: [stampIs("a", "s1"), endIs("log", 1)], writes: [set("a", "s2"), append("log", "two")] },
      { checks: [stampIs("a", "s1")], writes: [set("a", "s3")] },
    ]);
    expect(results).toEqual([
      { outcome: "applied", positions: [1] },
      { outcome: "applied", positions: [2] },
      { outcome: "conflict", positions: [] },
    ]);
    expect(await stampOf(key("a"))).toBe("s2");
  });

  test("G1 nothing of a transaction is applied when one of its checks does not hold", async () => {
    await write(set("a", "s1"));
    const { results, claims } = await engine.commit(
      partition,
      [
        {
          checks: [stampIs("a", "s1"), fewer(0)],
          writes: [
            set("a", "s2"),
            set("b", "s2"),
            rank("m", 1),
            append("log", "x"),
            enqueue("q", "m", 1),
            { kind: "add", counter: key("count"), delta: 1 },
          ],
        },
      ],
      want(["q"], 1),
    );
    expect(results).toEqual([{ outcome: "unmet", positions: [] }]);
    expect(claims).toEqual([]);
    expect(await stampOf(key("a"))).toBe("s1");
    const { found } = await engine.get([key("b"), key("count")]);
    expect(found.map(({ stamp }) => stamp)).toEqual([null, null]);
    expect(await rows(key("index"))).toEqual([]);
    expect(await rows(queuesIndex(partition))).toEqual([]);
    expect(await logOf("log")).toEqual([]);
  });

  test("G1 a transaction that did not hold leaves the others of its batch alone", async () => {
    const { results } = await engine.commit(partition, [
      { checks: [], writes: [set("a", "s1")] },
      { checks: [stampIs("b", "other")], writes: [set("b", "s2")] },
      { checks: [], writes: [set("c", "s3")] },
    ]);
    expect(results.map(({ outcome }) => outcome)).toEqual(["applied", "conflict", "applied"]);
    const { found } = await engine.get([key("a"), key("b"), key("c")]);
    expect(found.map(({ stamp }) => stamp)).toEqual(["s1", null, "s3"]);
  });

  test("C4 a transaction that relies on one that was not applied is skipped, and so is what relies on it", async () => {
    const { results } = await engine.commit(partition, [
      { checks: [stampIs("a", "other")], writes: [] },
      { checks: [], writes: [set("b", "s1")], after: [0] },
      { checks: [], writes: [set("c", "s1")], after: [1] },
      { checks: [], writes: [set("d", "s1")] },
      { checks: [], writes: [set("e", "s1")], after: [3] },
      { checks: [], writes: [set("f", "s1")], after: [3, 0] },
    ]);
    expect(results.map(({ outcome }) => outcome)).toEqual([
      "conflict",
      "skipped",
      "skipped",
      "applied",
      "applied",
      "skipped",
    ]);
  });

  test("C5 a commit repeated after an unknown outcome is refused by its own stamp", async () => {
    const transaction = { checks: [stampIs("a", null)], writes: [set("a", "s1"), append("log", "once")] };
    await engine.commit(partition, [transaction]);
    const { results } = await engine.commit(partition, [transaction]);
    expect(results[0]?.outcome).toBe("conflict");
    expect(await logOf("log")).toEqual(["once"]);
  });

  test("values are opaque text and come back as they were", async () => {
    const values = ["", "[]", '{"n":12345678901234567890}', "é 😀 \u2028", `"${"x".repeat(300_000)}"`];
    await write(...values.map((value, index) => set(`v${index}`, `s${index}`, value)));
    const { found } = await engine.get(values.map((_, index) => key(`v${index}`)));
    expect(found.map(({ value }) => value)).toEqual(values);
  });

  test("get answers in the order asked, with absent records as null, and a key as often as it was asked", async () => {
    await write(set("a", "s1", "1"));
    const { found } = await engine.get([key("none"), key("a"), key("a")]);
    expect(found).toEqual([
      { key: key("none"), stamp: null, value: null },
      { key: key("a"), stamp: "s1", value: "1" },
      { key: key("a"), stamp: "s1", value: "1" },
    ]);
    expect((await engine.get([])).found).toEqual([]);
  });

  test("counters are added to, from nothing, and have the stamp `counter`", async () => {
    const add = (delta: number): Write => ({ kind: "add", counter: key("count"), delta });
    await write(add(5), add(-7));
    await write(add(1));
    const { found } = await engine.get([key("count")]);
    expect(found).toEqual([{ key: key("count"), stamp: "counter", value: "-1" }]);
    await write(add(1), { kind: "delete", key: key("count") }, add(4));
    expect(await textOf(key("count"))).toBe("4");
  });

  test("a deleted record is absent, and can be made anew", async () => {
    await write(set("a", "s1"));
    await write({ kind: "delete", key: key("a") }, { kind: "delete", key: key("never") });
    expect(await tryWith(stampIs("a", null))).toBe("applied");
    await write(set("a", "s2", "2"));
    expect(await textOf(key("a"))).toBe("2");
  });

  test("partitions do not see each other's records, queues or leases", async () => {
    const other = partitionAt(1);
    await write(enqueue("q", "m", 1));
    expect((await engine.commit(other, [], want(["q"], 1))).claims).toEqual([]);
    expect(await claim(["q"], 1)).toHaveLength(1);
    expect(await rows(leasesIndex(other))).toEqual([]);
    const { found } = await engine.get([leaseKey(other, "m"), leaseKey(partition, "m")]);
    expect(found.map(({ stamp }) => stamp !== null)).toEqual([false, true]);
  });
}
