import { createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { systemClock, systemRandom } from "#shared/system.ts";
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

test("C10 a subscription whose connection is lost before its answer is made again on the next one", async () => {
  const subscribed: Socket[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => {
      const said = bytes.toString();
      if (/subscribe/i.test(said)) {
        subscribed.push(socket);
        if (subscribed.length === 1) socket.destroy();
      } else if (/info/i.test(said)) socket.write("$21\r\nredis_version:7.0.0\r\n\r\n");
      else socket.write("+OK\r\n");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const address = parseRedisUrl(`redis://127.0.0.1:${port}`);
  const hints = new RedisHints(address, {
    clock: systemClock,
    random: systemRandom,
    keyspace: createKeyspace("salt:"),
  });
  hints.listen(["p0"], new AbortController().signal);
  await expect.poll(() => subscribed.length, { timeout: 5_000 }).toBe(2);
  hints.close();
  for (const socket of subscribed) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});
