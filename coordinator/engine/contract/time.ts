import { expect, test } from "vitest";
import { leaseKey } from "../engine.ts";
import { append, claim, clock, engine, enqueue, key, partition, rows, want, write } from "./subject.ts";

export function describeTime(): void {
  test("C2 durations count from the engine's time at the commit", async () => {
    const index = key("index");
    const { nowMs } = await engine.commit(partition, [
      {
        checks: [],
        writes: [
          { kind: "rank", index, member: "later", score: { nowPlusMs: 250 } },
          { kind: "rank", index, member: "earlier", score: { nowPlusMs: -250 } },
          append("log", "x"),
        ],
      },
    ]);
    expect(await rows(index)).toEqual([
      { member: "earlier", score: nowMs - 250, value: null },
      { member: "later", score: nowMs + 250, value: null },
    ]);
    expect(await engine.read(key("log"), 0, 1)).toEqual([{ position: 1, atMs: nowMs, value: "x" }]);
  });

  test("C2 time goes on when the machine's clock is set back a day, and never goes back", async () => {
    const { nowMs: before } = await engine.get([]);
    clock.set(before - 86_400_000);
    expect((await engine.get([])).nowMs).toBe(before);
    clock.pass(1_000);
    expect((await engine.range(key("index"), { limit: 1 })).nowMs).toBe(before + 1_000);
    expect((await engine.commit(partition, [])).nowMs).toBe(before + 1_000);
    clock.set(before + 5_000);
    expect((await engine.get([])).nowMs).toBe(before + 5_000);
  });

  test("C11 a fence is at least the time in microseconds", async () => {
    await write(enqueue("q", "m", 1));
    const { nowMs, claims } = await engine.commit(partition, [], want(["q"], 1));
    expect(claims[0]?.fence).toBeGreaterThanOrEqual(nowMs * 1000);
  });

  test("C11 fences only grow, within a millisecond and with a clock that goes back", async () => {
    const fences: number[] = [];
    for (let round = 0; round < 10; round++) {
      await write(enqueue("q", "m", 1), enqueue("q", "n", 1));
      fences.push(...(await claim(["q"], 2)).map(({ fence }) => fence));
      if (round > 5) clock.set(clock.nowMs() - 3_600_000);
    }
    expect(fences).toHaveLength(20);
    expect(fences.every((fence, index) => index === 0 || fence > (fences[index - 1] ?? fence))).toBe(true);
  });

  test("C11 a lease that was deleted and granted anew has a higher fence", async () => {
    await write(enqueue("q", "m", 1));
    const [first] = await claim(["q"], 1);
    await write({ kind: "delete", key: leaseKey(partition, "m") }, enqueue("q", "m", 1));
    const [second] = await claim(["q"], 1);
    expect(second?.fence).toBeGreaterThan(first?.fence ?? Number.POSITIVE_INFINITY);
  });
}
