import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { partitionAt } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { haveRedis, type RedisServer, startRedis } from "../../../tests/support/redis-server.ts";
import { type Engine, keyIn, type Write } from "../engine.ts";
import { createRedisEngine } from "./redis-engine.ts";

const partition = partitionAt(0);
const key = keyIn(partition, "a");
const set = (stamp: string, value = "{}"): Write => ({ kind: "set", key, stamp, value });

describe.runIf(haveRedis())("a redis that fails", () => {
  let server: RedisServer;
  let engine: Engine;
  beforeAll(async () => {
    server = await startRedis({ settings: ["--busy-reply-threshold", "50"] });
  });
  afterAll(() => server.close());
  beforeEach(async () => {
    await server.command("FLUSHALL");
    engine = await createRedisEngine({ url: server.url, clock: systemClock, random: systemRandom });
  });
  afterEach(() => engine.close());

  const write = (...writes: Write[]) => engine.commit(partition, [{ checks: [], writes }]);
  const stamp = async () => (await engine.get([key])).found[0]?.stamp;
  /** Until the engine has its connection again. */
  const writeSoon = (...writes: Write[]) =>
    expect.poll(async () => (await write(...writes)).results[0]?.outcome, { timeout: 15_000 }).toBe("applied");

  test("A8 without memory left a commit is refused whole, reading goes on, and so do commits when there is some again", async () => {
    await write(set("s1"));
    await server.command("CONFIG", "SET", "maxmemory", "1");
    await expect(write(set("s2"))).rejects.toMatchObject({
      code: "Unavailable",
      retryable: true,
      message: expect.stringContaining("no memory left"),
      next: expect.stringContaining("maxmemory"),
    });
    expect(await stamp()).toBe("s1");
    await server.command("CONFIG", "SET", "maxmemory", "0");
    await write(set("s3"));
    expect(await stamp()).toBe("s3");
  });

  test("A8 what frees room is applied without memory left, and grants nothing meanwhile", async () => {
    const frees = (...writes: Write[]) => ({ checks: [], writes, frees: true }) as const;
    const claim = { holdMs: 1_000, wants: [{ holder: "agent", queues: ["q"], take: 1 }] };
    await write(set("s1"), { kind: "enqueue", queue: "q", member: "m", score: { at: 0 } });
    await server.command("CONFIG", "SET", "maxmemory", "1");
    const mixed = [frees({ kind: "delete", key }), { checks: [], writes: [set("s2")] }];
    await expect(engine.commit(partition, mixed)).rejects.toMatchObject({ code: "Unavailable" });
    await expect(engine.commit(partition, [], claim)).rejects.toMatchObject({ code: "Unavailable" });
    expect(await stamp()).toBe("s1");
    const { results, claims } = await engine.commit(partition, [frees({ kind: "delete", key })], claim);
    expect([results[0]?.outcome, claims]).toEqual(["applied", []]);
    expect(await stamp()).toBeNull();
    await server.command("CONFIG", "SET", "maxmemory", "0");
    expect((await engine.commit(partition, [], claim)).claims).toMatchObject([{ member: "m" }]);
  });

  test("A8 a server that has become a replica refuses, and is dialled anew until there is a master", async () => {
    await write(set("s1"));
    await server.command("REPLICAOF", "127.0.0.1", "1");
    await expect(write(set("s2"))).rejects.toMatchObject({ code: "Unavailable", retryable: true });
    await server.command("REPLICAOF", "NO", "ONE");
    await writeSoon(set("s3"));
    expect(await stamp()).toBe("s3");
  });

  test("A8 a server kept busy by somebody's script says so, and is asked again when it is free", async () => {
    const busy = server.command("EVAL", "while true do end", "0").catch(() => null);
    await expect
      .poll(
        async () => {
          const answer = await write(set("s1")).then(
            () => "applied",
            (error: Error) => error.message,
          );
          return answer;
        },
        { timeout: 5_000 },
      )
      .toContain("a script has kept it busy");
    await server.command("SCRIPT", "KILL");
    await busy;
    await writeSoon(set("s2"));
  });

  test("C5 a server that does not answer in time leaves the outcome unknown, and nothing is sent twice", async () => {
    const append: Write = { kind: "append", log: keyIn(partition, "log"), value: "once" };
    await write(append);
    server.pause();
    try {
      const startMs = performance.now();
      await expect(write(append)).rejects.toMatchObject({
        code: "Unavailable",
        retryable: true,
        message: expect.stringContaining("did not answer in time"),
      });
      expect(performance.now() - startMs).toBeLessThan(limits.engineTimeoutMs + 2_000);
    } finally {
      server.resume();
    }
    await writeSoon({ kind: "append", log: keyIn(partition, "other"), value: "x" });
    expect((await engine.read(keyIn(partition, "log"), 0, 10)).length).toBeLessThanOrEqual(2);
  });

  test("C5 while Redis is away a command fails at once, and the connection comes back by itself", async () => {
    await write(set("s1"));
    await server.kill();
    await expect.poll(() => write(set("s2")).catch((error: { code: string }) => error.code)).toBe("Unavailable");
    const startMs = performance.now();
    await expect(engine.get([key])).rejects.toMatchObject({ code: "Unavailable", retryable: true });
    expect(performance.now() - startMs).toBeLessThan(1_000);
    await server.start();
    await writeSoon(set("s3"));
  });

  test("A9 scripts that were flushed are sent again, and nobody notices", async () => {
    await write(set("s1"));
    await server.command("SCRIPT", "FLUSH");
    const log = keyIn(partition, "log");
    const commits = Array.from({ length: 5 }, () => write({ kind: "append", log, value: "x" }));
    const committed = await Promise.all(commits);
    expect(committed.map(({ results }) => results[0]?.positions)).toEqual([[1], [2], [3], [4], [5]]);
    await server.command("SCRIPT", "FLUSH");
    expect(await engine.read(log, 4, 10)).toHaveLength(1);
    await server.command("SCRIPT", "FLUSH");
    expect((await engine.range(keyIn(partition, "index"), { limit: 1 })).rows).toEqual([]);
  });

  test("C10 a subscription that was lost comes back by itself", async () => {
    const ending = new AbortController();
    const hints = engine.listen(["p0"], ending.signal)[Symbol.asyncIterator]();
    const signal: Write = { kind: "signal", topic: "p0", note: "" };
    await write(signal);
    expect((await hints.next()).value).toEqual({ topic: "p0", note: "" });
    await server.command("CLIENT", "KILL", "TYPE", "pubsub");
    const heard = hints.next();
    let isHeard = false;
    void heard.then(() => {
      isHeard = true;
    });
    await expect
      .poll(
        async () => {
          await write(signal);
          return isHeard;
        },
        { timeout: 10_000 },
      )
      .toBe(true);
    ending.abort();
  });

  test("C10 a subscription that cannot be made holds up no commit", async () => {
    const rules = ["on", ">hush", "~*", "resetchannels", "+@all"];
    await server.command("ACL", "SETUSER", "deaf", ...rules);
    const url = server.url.replace("//", "//deaf:hush@");
    const deaf = await createRedisEngine({ url, clock: systemClock, random: systemRandom });
    try {
      deaf.listen(["p0"], new AbortController().signal);
      const { results } = await deaf.commit(partition, [{ checks: [], writes: [set("s1")] }]);
      expect(results[0]?.outcome).toBe("applied");
    } finally {
      await deaf.close();
    }
  });

  test("a Redis that is not there, or wants another password, says what to do and never the password", async () => {
    const open = (url: string) => createRedisEngine({ url, clock: systemClock, random: systemRandom });
    const wrong = await open(server.url.replace("//", "//salt:hush@")).catch((error: Error) => error);
    expect(wrong).toMatchObject({
      code: "Unavailable",
      retryable: false,
      message: expect.stringContaining("password"),
    });
    expect(JSON.stringify(wrong, Object.getOwnPropertyNames(wrong))).not.toContain("hush");
    await server.command("CONFIG", "SET", "requirepass", "secret");
    try {
      await expect(open(server.url)).rejects.toMatchObject({ code: "Unavailable", retryable: false });
      const allowed = await open(server.url.replace("//", "//:secret@"));
      await allowed.close();
    } finally {
      await server.kill();
      await server.start();
    }
  });
});
