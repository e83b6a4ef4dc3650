import { expect, test } from "vitest";
import { append, endIs, engine, key, logOf, members, partition, rank, rows, write } from "./subject.ts";

export function describeReads(): void {
  const index = key("index");

  test("rows come by score and then by the bytes of the member", async () => {
    await write(rank("b", 1), rank("a", 2), rank("\u{1F600}", 0), rank("\uFFFD", 0), rank("c", -1.5), rank("", 0));
    expect(await members(index)).toEqual(["c", "", "\uFFFD", "\u{1F600}", "b", "a"]);
    expect(await members(index, { reverse: true })).toEqual(["a", "b", "\u{1F600}", "\uFFFD", "", "c"]);
  });

  test("ranking a member again moves it and replaces its value", async () => {
    await write(rank("a", 1, "old"), rank("b", 2));
    await write(rank("a", 3));
    expect(await rows(index)).toEqual([
      { member: "b", score: 2, value: null },
      { member: "a", score: 3, value: null },
    ]);
  });

  test("a range has both bounds in it, whichever way it is read", async () => {
    await write(...[1, 2, 3, 4].map((score) => rank(`m${score}`, score)));
    expect(await members(index, { from: 2, to: 3 })).toEqual(["m2", "m3"]);
    expect(await members(index, { from: 2, to: 3, reverse: true })).toEqual(["m3", "m2"]);
    expect(await members(index, { from: 5 })).toEqual([]);
    expect(await members(index, { to: 0.5 })).toEqual([]);
  });

  test("a cursor goes through all rows once, whichever way, also among equal scores", async () => {
    const all = Array.from({ length: 23 }, (_, n) => ({ member: `m${String(n).padStart(2, "0")}`, score: n % 4 }));
    await write(...all.map(({ member, score }) => rank(member, score)));
    for (const reverse of [false, true]) {
      const seen: string[] = [];
      let after: { score: number; member: string } | undefined;
      for (;;) {
        const page = await rows(index, { limit: 5, reverse, ...(after && { after }) });
        seen.push(...page.map(({ member }) => member));
        after = page.at(-1);
        if (page.length < 5) break;
      }
      expect(seen).toEqual(await members(index, { reverse }));
      expect(seen).toHaveLength(23);
    }
  });

  test("a cursor outside the bounds neither widens nor empties the range", async () => {
    await write(...[1, 2, 3].map((score) => rank(`m${score}`, score)));
    expect(await members(index, { from: 2, after: { score: 0, member: "x" } })).toEqual(["m2", "m3"]);
    expect(await members(index, { to: 2, reverse: true, after: { score: 9, member: "x" } })).toEqual(["m2", "m1"]);
    expect(await members(index, { to: 2, after: { score: 2, member: "m2" } })).toEqual([]);
  });

  test("a log gives positions from 1 on, in the order of the appends", async () => {
    const { results } = await engine.commit(partition, [
      { checks: [], writes: [append("log", "one"), append("other", "x"), append("log", "two")] },
      { checks: [], writes: [append("log", "three")] },
    ]);
    expect(results.map(({ positions }) => positions)).toEqual([[1, 1, 2], [3]]);
    expect((await engine.read(key("log"), 0, 10)).map(({ position, value }) => [position, value])).toEqual([
      [1, "one"],
      [2, "two"],
      [3, "three"],
    ]);
    expect((await engine.read(key("log"), 2, 10)).map(({ value }) => value)).toEqual(["three"]);
    expect(await engine.read(key("log"), 3, 10)).toEqual([]);
  });

  const appendAll = (log: string, from: number, to: number) =>
    write(...Array.from({ length: to - from + 1 }, (_, n) => append(log, `e${from + n}`)));
  const trim = (log: string, through: number) => write({ kind: "trim", log: key(log), through });

  test("C9 a trimmed log begins later, and its positions stay", async () => {
    await appendAll("log", 1, 5);
    await trim("log", 3);
    const left = [
      [4, "e4"],
      [5, "e5"],
    ];
    for (const after of [0, 2, 3]) {
      const entries = await engine.read(key("log"), after, 10);
      expect(entries.map(({ position, value }) => [position, value])).toEqual(left);
    }
    expect((await engine.read(key("log"), 4, 10)).map(({ value }) => value)).toEqual(["e5"]);
    expect((await engine.read(key("log"), 0, 1)).map(({ value }) => value)).toEqual(["e4"]);
    const { results } = await engine.commit(partition, [{ checks: [endIs("log", 5)], writes: [append("log", "e6")] }]);
    expect(results).toEqual([{ outcome: "applied", positions: [6] }]);
    await trim("log", 2);
    expect(await logOf("log")).toEqual(["e4", "e5", "e6"]);
  });

  test("C9 the last entry of a log is never trimmed, so that the next has the position after it", async () => {
    await appendAll("log", 1, 3);
    await trim("log", 100);
    await trim("log", 3);
    await trim("other", 3);
    expect(await logOf("log")).toEqual(["e3"]);
    expect(await logOf("other")).toEqual([]);
    const { results } = await engine.commit(partition, [
      { checks: [endIs("log", 3)], writes: [append("log", "e4"), { kind: "trim", log: key("log"), through: 4 }] },
      { checks: [endIs("log", 4)], writes: [append("log", "e5")] },
    ]);
    expect(results).toEqual([
      { outcome: "applied", positions: [4] },
      { outcome: "applied", positions: [5] },
    ]);
    expect(await logOf("log")).toEqual(["e4", "e5"]);
  });

  test("C9 a deleted log is as one that never was", async () => {
    await appendAll("log", 1, 3);
    await trim("log", 2);
    const { results } = await engine.commit(partition, [
      { checks: [endIs("log", 3)], writes: [{ kind: "delete", key: key("log") }] },
      { checks: [endIs("log", 0)], writes: [append("log", "anew")] },
    ]);
    expect(results.map(({ outcome }) => outcome)).toEqual(["applied", "applied"]);
    expect((await engine.read(key("log"), 0, 10)).map(({ position, value }) => [position, value])).toEqual([
      [1, "anew"],
    ]);
    await write({ kind: "delete", key: key("log") });
    expect(await logOf("log")).toEqual([]);
  });
}
