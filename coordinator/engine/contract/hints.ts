import { expect, test } from "vitest";
import type { Hint, Write } from "../engine.ts";
import { engine, partition, stampIs, write } from "./subject.ts";

export function describeHints(): void {
  const take = async (hints: AsyncIterator<Hint>) => (await hints.next()).value;
  const signal = (topic: string, note = ""): Write => ({ kind: "signal", topic, note });

  test("C10 a commit that signals is heard by those who listen to the topic, from the call of listen on", async () => {
    const ending = new AbortController();
    const hints = engine.listen(["p0", "runs"], ending.signal)[Symbol.asyncIterator]();
    await write(signal("other"), signal("runs", "a note"));
    expect(await take(hints)).toEqual({ topic: "runs", note: "a note" });
    const waiting = take(hints);
    await write(signal("p0"));
    expect(await waiting).toEqual({ topic: "p0", note: "" });
    ending.abort();
    expect((await hints.next()).done).toBe(true);
  });

  test("C10 a transaction that was not applied signals nothing", async () => {
    const ending = new AbortController();
    const hints = engine.listen(["p0", "p1"], ending.signal)[Symbol.asyncIterator]();
    await engine.commit(partition, [{ checks: [stampIs("a", "other")], writes: [signal("p0")] }]);
    await write(signal("p1"));
    expect(await take(hints)).toEqual({ topic: "p1", note: "" });
    ending.abort();
  });

  test("C10 listening ends when it is told to, also in the middle of waiting, and when the engine is closed", async () => {
    const ending = new AbortController();
    const waiting = engine.listen(["p0"], ending.signal)[Symbol.asyncIterator]().next();
    ending.abort();
    expect((await waiting).done).toBe(true);
    expect((await engine.listen(["p0"], ending.signal)[Symbol.asyncIterator]().next()).done).toBe(true);
    const other = engine.listen(["p0"], new AbortController().signal)[Symbol.asyncIterator]().next();
    await engine.close();
    expect((await other).done).toBe(true);
  });
}
