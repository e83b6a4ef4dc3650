import { expect, test } from "vitest";
import { Hints } from "./hints.ts";

test("C10 a listener that does not keep up hears each topic once, so what waits for it is bounded", async () => {
  const hints = new Hints();
  const ending = new AbortController();
  const heard = hints.listen(["a", "b"], ending.signal)[Symbol.asyncIterator]();
  for (let n = 0; n < 1_000; n++) hints.emit(["a", "b"]);
  expect([(await heard.next()).value, (await heard.next()).value]).toEqual(["a", "b"]);
  const next = heard.next();
  hints.emit(["a"]);
  expect((await next).value).toBe("a");
  ending.abort();
});

test("a listener that leaves is forgotten", async () => {
  const hints = new Hints();
  const ending = new AbortController();
  for await (const topic of listenAfter(hints, ending.signal)) expect(topic).toBe("a");
  hints.emit(["a"]);
  hints.close();
});

async function* listenAfter(hints: Hints, signal: AbortSignal): AsyncGenerator<string> {
  const listening = hints.listen(["a"], signal);
  hints.emit(["a"]);
  for await (const topic of listening) {
    yield topic;
    return;
  }
}
