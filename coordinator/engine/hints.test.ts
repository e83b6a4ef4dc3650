import { expect, test } from "vitest";
import type { Hint } from "./engine.ts";
import { Hints, pendingHintsMax } from "./hints.ts";

const hint = (topic: string, note = ""): Hint => ({ topic, note });

test("C10 a listener that does not keep up hears each note once", async () => {
  const hints = new Hints();
  const ending = new AbortController();
  const heard = hints.listen(["a", "b"], ending.signal)[Symbol.asyncIterator]();
  for (let n = 0; n < 1_000; n++) hints.emit([hint("a", "1"), hint("b", "2")]);
  expect([(await heard.next()).value, (await heard.next()).value]).toEqual([hint("a", "1"), hint("b", "2")]);
  const next = heard.next();
  hints.emit([hint("a")]);
  expect((await next).value).toEqual(hint("a"));
  ending.abort();
});

test("C10 what waits for a listener that does not keep up is bounded: the rest is lost", async () => {
  const hints = new Hints();
  const ending = new AbortController();
  const listening = hints.listen(["a"], ending.signal);
  for (let n = 0; n < pendingHintsMax + 10; n++) hints.emit([hint("a", String(n))]);
  let heard = 0;
  for await (const { note } of listening) {
    heard += 1;
    if (note === String(pendingHintsMax - 1)) break;
  }
  expect(heard).toBe(pendingHintsMax);
});

test("a listener that leaves is forgotten", async () => {
  const hints = new Hints();
  const ending = new AbortController();
  for await (const { topic } of listenAfter(hints, ending.signal)) expect(topic).toBe("a");
  hints.emit([hint("a")]);
  hints.close();
});

async function* listenAfter(hints: Hints, signal: AbortSignal): AsyncGenerator<Hint> {
  const listening = hints.listen(["a"], signal);
  hints.emit([hint("a")]);
  for await (const heard of listening) {
    yield heard;
    return;
  }
}
