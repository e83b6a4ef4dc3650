import { expect, test } from "vitest";
import { systemRandom } from "#shared/system.ts";
import { ManualClock } from "../manual-clock.ts";
import { createKeyspace } from "./keyspace.ts";
import { parseRedisUrl } from "./redis-address.ts";
import { RedisHints } from "./redis-hints.ts";

test("C10 a subscription whose server is away is waited for a second, and no longer", async () => {
  const clock = new ManualClock();
  const keyspace = createKeyspace("salt:");
  const hints = new RedisHints(parseRedisUrl("redis://127.0.0.1:1"), { clock, random: systemRandom, keyspace });
  const heard = hints.listen(["p0"], new AbortController().signal)[Symbol.asyncIterator]().next();
  const { ready } = hints;
  expect(ready).not.toBeNull();
  clock.pass(999);
  await new Promise((resolve) => setImmediate(resolve));
  expect(hints.ready).not.toBeNull();
  clock.pass(1);
  await ready;
  expect(hints.ready).toBeNull();
  hints.close();
  expect((await heard).done).toBe(true);
});
