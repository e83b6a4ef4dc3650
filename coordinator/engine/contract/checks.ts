import { expect, test } from "vitest";
import { type Check, type Key, leasesIndex, queueIndex } from "../engine.ts";
import {
  append,
  claim,
  endIs,
  engine,
  enqueue,
  fewer,
  key,
  partition,
  rank,
  set,
  stampIs,
  tryWith,
  write,
} from "./subject.ts";

export function describeChecks(): void {
  test("C3 a stamp check holds for that stamp only, and null for an absent record only", async () => {
    await write(set("a", "s1"));
    expect(await tryWith(stampIs("a", "s1"), stampIs("b", null))).toBe("applied");
    expect(await tryWith(stampIs("a", "s2"))).toBe("conflict");
    expect(await tryWith(stampIs("a", null))).toBe("conflict");
    expect(await tryWith(stampIs("b", "s1"))).toBe("conflict");
  });

  test("C4 `fewer` counts the members of an index, and also holds for a member that is already in", async () => {
    await write(rank("m1", 1), rank("m2", 2));
    expect(await tryWith(fewer(3))).toBe("applied");
    expect(await tryWith(fewer(2))).toBe("unmet");
    expect(await tryWith(fewer(2, "m2"))).toBe("applied");
    expect(await tryWith(fewer(2, "m3"))).toBe("unmet");
    await write({ kind: "unrank", index: key("index"), member: "m1" });
    expect(await tryWith(fewer(2))).toBe("applied");
    expect(await tryWith(fewer(0))).toBe("unmet");
  });

  test("C17 of two acquirers of the last slot in one batch one is told no", async () => {
    const acquire = (member: string) => ({ checks: [fewer(1, member)], writes: [rank(member, 1)] });
    const { results } = await engine.commit(partition, [acquire("t1"), acquire("t2"), acquire("t1")]);
    expect(results.map(({ outcome }) => outcome)).toEqual(["applied", "unmet", "applied"]);
  });

  test("C4 `fewer` on queues and leases counts what is in them", async () => {
    const fewerIn = (index: Key, than: number, member?: string): Check => ({
      kind: "fewer",
      index,
      than,
      ...(member !== undefined && { member }),
    });
    await write(enqueue("q", "m1", 1), enqueue("q", "m2", 2));
    expect(await tryWith(fewerIn(queueIndex(partition, "q"), 2))).toBe("unmet");
    await claim(["q"], 1);
    expect(await tryWith(fewerIn(queueIndex(partition, "q"), 2))).toBe("applied");
    expect(await tryWith(fewerIn(leasesIndex(partition), 1))).toBe("unmet");
    expect(await tryWith(fewerIn(leasesIndex(partition), 1, "m1"))).toBe("applied");
    await write({ kind: "release", member: "m1" });
    expect(await tryWith(fewerIn(leasesIndex(partition), 1))).toBe("applied");
    expect(await tryWith(fewerIn(leasesIndex(partition), 0, "m1"))).toBe("unmet");
  });

  test("C4 `end` holds for the position of the last entry, 0 when there is none", async () => {
    expect(await tryWith(endIs("log", 0))).toBe("applied");
    await write(append("log", "one"), append("log", "two"));
    expect(await tryWith(endIs("log", 2))).toBe("applied");
    expect(await tryWith(endIs("log", 1))).toBe("unmet");
    expect(await tryWith(endIs("log", 0))).toBe("unmet");
  });

  test("C4 a wrong stamp is a conflict whatever the other checks say", async () => {
    expect(await tryWith(endIs("log", 7), stampIs("a", "other"))).toBe("conflict");
    expect(await tryWith(stampIs("a", "other"), endIs("log", 7))).toBe("conflict");
    expect(await tryWith(stampIs("a", null), endIs("log", 7))).toBe("unmet");
  });

  test("C4 fan-in: the settlement that removes the last edge readies the dependent, once", async () => {
    await write(set("task/C", "s0"), rank("A", 1), rank("B", 2));
    const settle = (edge: string, stamp: string) =>
      engine.commit(partition, [
        {
          checks: [stampIs(`task/${edge}`, null)],
          writes: [set(`task/${edge}`, stamp), { kind: "unrank", index: key("index"), member: edge }],
        },
        {
          checks: [fewer(1), stampIs("task/C", "s0")],
          writes: [set("task/C", stamp), enqueue("q", "C", 1)],
          after: [0],
        },
      ]);
    const outcomes = async (settling: ReturnType<typeof settle>) =>
      (await settling).results.map(({ outcome }) => outcome);
    expect(await outcomes(settle("A", "s1"))).toEqual(["applied", "unmet"]);
    expect(await outcomes(settle("B", "s2"))).toEqual(["applied", "applied"]);
    expect(await outcomes(settle("B", "s3"))).toEqual(["conflict", "skipped"]);
    expect((await claim(["q"], 9)).map(({ member }) => member)).toEqual(["C"]);
  });
}
