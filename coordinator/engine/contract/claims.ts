import { expect, test } from "vitest";
import { leaseKey, queueIndex, queuesIndex } from "../engine.ts";
import { claim, clock, engine, enqueue, lease, members, partition, rows, stampOf, want, write } from "./subject.ts";

export function describeClaims(): void {
  test("G5 C1 a claim sees the batch that it came with, and its grants are part of the commit", async () => {
    const { claims } = await engine.commit(
      partition,
      [{ checks: [], writes: [enqueue("q", "m1", 1)] }],
      want(["q"], 9),
    );
    expect(claims).toEqual([{ queue: "q", member: "m1", holder: "agt_1/1", fence: expect.any(Number) }]);
    expect(await stampOf(leaseKey(partition, "m1"))).toBe(String(claims[0]?.fence));
    expect(await lease("m1")).toEqual({ holder: "agt_1/1", state: "granted", queue: "q" });
    expect(await members(queueIndex(partition, "q"))).toEqual([]);
    expect(await claim(["q"], 9)).toEqual([]);
  });

  test("C1 a settlement and the next grant are one trip: what the batch dequeues is not granted", async () => {
    await write(enqueue("q", "m1", 1), enqueue("q", "m2", 2));
    const { claims } = await engine.commit(
      partition,
      [{ checks: [], writes: [{ kind: "dequeue", queue: "q", member: "m1" }] }],
      want(["q"], 9),
    );
    expect(claims.map(({ member }) => member)).toEqual(["m2"]);
  });

  test("C25 grants take the lowest scores over all the queues, of equal ones those of the queue named first", async () => {
    await write(
      enqueue("slow", "s1", 10),
      enqueue("slow", "s3", 30),
      enqueue("fast", "f2", 20),
      enqueue("fast", "f3", 30),
    );
    await write(enqueue("third", "t0", 5), enqueue("unasked", "u", 0));
    const granted = await claim(["slow", "fast", "empty", "third"], 4);
    expect(granted.map(({ queue, member }) => [queue, member])).toEqual([
      ["third", "t0"],
      ["slow", "s1"],
      ["fast", "f2"],
      ["slow", "s3"],
    ]);
    expect((await claim(["fast"], 1)).map(({ member }) => member)).toEqual(["f3"]);
  });

  test("C25 a higher priority goes before earlier readiness, within its minutes, and no further", async () => {
    const readyAtMs = 1_000_000;
    const score = (readyMs: number, priority: number) => readyMs - priority * 60_000;
    await write(enqueue("q", "urgent", score(readyAtMs, 2)), enqueue("q", "older", score(readyAtMs - 90_000, 0)));
    await write(enqueue("q", "ancient", score(readyAtMs - 130_000, 0)));
    expect((await claim(["q"], 3)).map(({ member }) => member)).toEqual(["ancient", "urgent", "older"]);
  });

  test("each want takes what those before it left, and a queue named twice gives a member once", async () => {
    await write(...[1, 2, 3, 4].map((n) => enqueue("q", `m${n}`, n)));
    const { claims } = await engine.commit(partition, [], {
      holdMs: 1_000,
      wants: [
        { holder: "a", queues: ["q", "q"], take: 2 },
        { holder: "b", queues: ["q"], take: 0 },
        { holder: "c", queues: [], take: 5 },
        { holder: "d", queues: ["q"], take: 5 },
      ],
    });
    expect(claims.map(({ member, holder }) => [member, holder])).toEqual([
      ["m1", "a"],
      ["m2", "a"],
      ["m3", "d"],
      ["m4", "d"],
    ]);
  });

  test("C25 a claim for many agents takes each member once, in the order of the wants", async () => {
    await write(...Array.from({ length: 30 }, (_, n) => enqueue(`q${n % 3}`, `m${String(n).padStart(2, "0")}`, n)));
    const wants = Array.from({ length: 7 }, (_, n) => ({ holder: `agt_${n}/1`, queues: ["q0", "q2", "q1"], take: 4 }));
    const { claims } = await engine.commit(partition, [], { holdMs: 1_000, wants });
    expect(claims.map(({ member }) => member)).toEqual(
      Array.from({ length: 28 }, (_, n) => `m${String(n).padStart(2, "0")}`),
    );
    expect(claims.map(({ holder }) => holder)).toEqual(wants.flatMap(({ holder }) => Array(4).fill(holder)));
    expect(await members(queuesIndex(partition))).toEqual(["q1", "q2"]);
  });

  test("`queues` names the queues that are not empty, since when", async () => {
    const { nowMs } = await engine.commit(partition, [
      { checks: [], writes: [enqueue("q1", "m1", 9), enqueue("q2", "m2", 9)] },
    ]);
    clock.pass(1_000);
    await write(enqueue("q1", "m3", 1));
    expect(await rows(queuesIndex(partition))).toEqual([
      { member: "q1", score: nowMs, value: null },
      { member: "q2", score: nowMs, value: null },
    ]);
    await write({ kind: "dequeue", queue: "q2", member: "m2" }, { kind: "dequeue", queue: "q1", member: "unknown" });
    expect(await members(queuesIndex(partition))).toEqual(["q1"]);
    await claim(["q1"], 1);
    expect(await members(queuesIndex(partition))).toEqual(["q1"]);
    await claim(["q1"], 1);
    expect(await members(queuesIndex(partition))).toEqual([]);
    await write(enqueue("q1", "m1", 1));
    expect(await rows(queuesIndex(partition))).toEqual([{ member: "q1", score: nowMs + 1_000, value: null }]);
  });

  test("a member enqueued again is in its queue once, with the new score", async () => {
    await write(enqueue("q", "m1", 5), enqueue("q", "m2", 3));
    await write(enqueue("q", "m1", 1));
    expect((await claim(["q"], 9)).map(({ member }) => member)).toEqual(["m1", "m2"]);
  });
}
