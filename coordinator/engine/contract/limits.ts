import { expect, test } from "vitest";
import { partitionAt } from "#shared/domain/ids.ts";
import { keyIn, leasesIndex, queueIndex, queuesIndex, type Write } from "../engine.ts";
import { append, engine, key, members, partition, rank, set, stampOf, textOf, write } from "./subject.ts";

export function describeLimits(): void {
  test("a range gives at most `limit` rows", async () => {
    await write(...[1, 2, 3].map((score) => rank(`m${score}`, score)));
    expect(await members(key("index"), { limit: 2 })).toEqual(["m1", "m2"]);
    expect(await members(key("index"), { limit: 2, reverse: true })).toEqual(["m3", "m2"]);
    expect(await members(key("index"), { limit: 0 })).toEqual([]);
  });

  test("a log gives at most `limit` entries and about `bytesMax`, and one if there is any", async () => {
    await write(...["aaaa", "bbbb", "cccc", "dddd"].map((value) => append("log", value)));
    const read = async (after: number, limit: number, bytesMax?: number) =>
      (await engine.read(key("log"), after, limit, bytesMax)).map(({ value }) => value);
    expect(await read(0, 2)).toEqual(["aaaa", "bbbb"]);
    expect(await read(1, 10, 9)).toEqual(["bbbb", "cccc"]);
    expect(await read(0, 10, 1)).toEqual(["aaaa"]);
    expect(await read(0, 0)).toEqual([]);
  });

  test("a batch that reaches into another partition, into what the engine keeps, or forward, is a broken invariant", async () => {
    const elsewhere = keyIn(partitionAt(1), "a");
    const commit = (...writes: Write[]) => engine.commit(partition, [{ checks: [], writes }]);
    await expect(commit({ kind: "delete", key: elsewhere })).rejects.toThrow("one partition only");
    await expect(commit(set("lease/m", "s1"))).rejects.toThrow("leases are written by");
    for (const index of [leasesIndex(partition), queuesIndex(partition), queueIndex(partition, "q")]) {
      await expect(commit({ kind: "unrank", index, member: "m" })).rejects.toThrow("by the engine only");
    }
    await expect(commit(rank("m", Number.NaN))).rejects.toThrow("finite");
    await expect(
      engine.commit(partition, [
        { checks: [], writes: [set("a", "s1")], after: [1] },
        { checks: [], writes: [] },
      ]),
    ).rejects.toThrow("earlier");
    expect(await stampOf(key("a"))).toBeNull();
  });

  test("reading without a bound is a broken invariant", async () => {
    for (const limit of [-1, 1.5, Number.POSITIVE_INFINITY, Number.NaN]) {
      await expect(engine.range(key("index"), { limit })).rejects.toThrow("a limit is a whole number");
      await expect(engine.read(key("log"), 0, limit)).rejects.toThrow("a limit is a whole number");
    }
  });

  test("a counter is not added to a record", async () => {
    await write(set("a", "s1", "1"));
    await expect(write({ kind: "add", counter: key("a"), delta: 1 })).rejects.toThrow("a record and not a counter");
    expect(await textOf(key("a"))).toBe("1");
  });

  test("a closed engine says that it is closed, and can be closed again", async () => {
    await engine.close();
    await engine.close();
    await expect(engine.get([])).rejects.toMatchObject({ code: "Unavailable" });
    await expect(engine.commit(partition, [])).rejects.toMatchObject({ code: "Unavailable" });
    await expect(engine.range(key("index"), { limit: 1 })).rejects.toMatchObject({ code: "Unavailable" });
    await expect(engine.read(key("log"), 0, 1)).rejects.toMatchObject({ code: "Unavailable" });
  });
}
