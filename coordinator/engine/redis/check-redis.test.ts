import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { partitionAt } from "#shared/domain/ids.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { haveRedis, type RedisServer, startRedis } from "../../../tests/support/redis-server.ts";
import { checkRedisStore } from "../../check-stores.ts";
import { keyIn, type Write } from "../engine.ts";
import { createRedisEngine } from "./redis-engine.ts";

const partition = partitionAt(0);

describe.runIf(haveRedis())("what a redis is asked at the start", () => {
  let server: RedisServer;
  const deps = { clock: systemClock, random: systemRandom };
  const configure = (name: string, value: string) => server.command("CONFIG", "SET", name, value);
  const notFine = async () => (await checkRedisStore(server.url, deps)).filter(({ state }) => state !== "fine");

  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.close());
  beforeEach(async () => {
    await configure("maxmemory-policy", "noeviction");
    await configure("appendonly", "yes");
    await configure("appendfsync", "everysec");
  });

  test("one that is away at the start is named with what to do, and it is not said that it is dialled again", async () => {
    const hasty = { ...systemClock, after: (ms: number, act: () => void) => systemClock.after(Math.min(ms, 300), act) };
    const started = createRedisEngine({ url: "redis://127.0.0.1:1", clock: hasty, random: systemRandom });
    await expect(started).rejects.toMatchObject({
      code: "Unavailable",
      message: expect.stringMatching(/no connection to Redis at 127\.0\.0\.1:1 \(connect ECONNREFUSED/),
      next: "Start Redis, or correct its address, and start again.",
    });
  });

  test("one without memory left refuses what adds and what removes, answers reads, and goes on when it has more", async () => {
    const engine = await createRedisEngine({ url: server.url, ...deps });
    const [large, small] = [keyIn(partition, "large"), keyIn(partition, "small")];
    const commit = (write: Write) => engine.commit(partition, [{ checks: [], writes: [write] }]);
    const set = (key: typeof large, value: string): Write => ({ kind: "set", key, stamp: value.slice(0, 8), value });
    await commit(set(large, "x".repeat(3_000_000)));
    await configure("maxmemory", "2mb");
    for (const write of [set(small, "1"), { kind: "delete", key: large } satisfies Write]) {
      await expect(commit(write)).rejects.toMatchObject({ code: "Unavailable", retryable: true });
    }
    expect((await engine.get([large])).found[0]?.value).toHaveLength(3_000_000);
    await configure("maxmemory", "0");
    await commit({ kind: "delete", key: large });
    await engine.close();
  });

  test("one with an AOF that evicts nothing is fine, and it is said what a crash loses", async () => {
    const findings = await checkRedisStore(server.url, deps);
    expect(findings.map(({ state }) => state)).toEqual(["fine", "fine", "fine"]);
    expect(findings.at(-1)?.finding).toContain("at most about a second");
  });

  test("one that evicts is refused, whether or not its memory is limited", async () => {
    await configure("maxmemory-policy", "allkeys-lru");
    expect(await notFine()).toEqual([
      { state: "fails", finding: expect.stringContaining("allkeys-lru"), next: expect.stringContaining("noeviction") },
    ]);
    const warned: string[] = [];
    const open = createRedisEngine({ url: server.url, ...deps, warn: (text) => warned.push(text) });
    await expect(open).rejects.toMatchObject({ code: "Unavailable", retryable: false });
    expect(warned).toEqual([]);
  });

  test("one without AOF or replica is warned of with the consequence", async () => {
    await configure("appendonly", "no");
    expect(await notFine()).toEqual([
      {
        state: "warns",
        finding: expect.stringContaining("all since its last snapshot is lost"),
        next: expect.anything(),
      },
    ]);
    const warned: string[] = [];
    const engine = await createRedisEngine({ url: server.url, ...deps, warn: (text) => warned.push(text) });
    await engine.close();
    expect(warned).toEqual([expect.stringContaining("neither AOF nor a replica is on")]);
  });

  test("one whose AOF is not flushed is warned of", async () => {
    await configure("appendfsync", "no");
    expect(await notFine()).toEqual([
      { state: "warns", finding: expect.stringContaining("AOF"), next: expect.anything() },
    ]);
  });

  test("where CONFIG is forbidden, what INFO says is enough", async () => {
    await server.command("ACL", "SETUSER", "salt", "on", ">hush", "~*", "&*", "+@all", "-config");
    const findings = await checkRedisStore(server.url.replace("//", "//salt:hush@"), deps);
    expect(findings.map(({ state }) => state)).toEqual(["fine", "fine", "fine"]);
  });

  test("a user who may touch Salt's keys and channels alone, and do nothing dangerous, is enough", async () => {
    const rules = ["on", ">hush", "resetkeys", "~salt:*", "resetchannels", "&salt:*", "+@all", "-@dangerous", "+info"];
    await server.command("ACL", "SETUSER", "narrow", ...rules);
    const warned: string[] = [];
    const url = server.url.replace("//", "//narrow:hush@");
    const engine = await createRedisEngine({ url, ...deps, warn: (text) => warned.push(text) });
    try {
      const ending = new AbortController();
      const hints = engine.listen(["p0"], ending.signal)[Symbol.asyncIterator]();
      const writes: Write[] = [
        { kind: "enqueue", queue: "q", member: "m", score: { at: 1 } },
        { kind: "append", log: keyIn(partition, "log"), value: "x" },
        { kind: "trim", log: keyIn(partition, "log"), through: 1 },
        { kind: "rank", index: keyIn(partition, "index"), member: "m", score: { at: 1 }, value: "v" },
        { kind: "add", counter: keyIn(partition, "count"), delta: 1 },
        { kind: "delete", key: keyIn(partition, "gone") },
        { kind: "signal", topic: "p0", note: "" },
      ];
      const claim = { holdMs: 1, wants: [{ holder: "a", queues: ["q"], take: 1 }] };
      expect((await engine.commit(partition, [{ checks: [], writes }], claim)).claims).toHaveLength(1);
      expect((await engine.range(keyIn(partition, "index"), { limit: 1 })).rows).toHaveLength(1);
      expect(await engine.read(keyIn(partition, "log"), 0, 9)).toHaveLength(1);
      expect((await engine.get([keyIn(partition, "count")])).found[0]?.value).toBe("1");
      expect((await hints.next()).value).toEqual({ topic: "p0", note: "" });
      ending.abort();
      expect(warned).toEqual([]);
    } finally {
      await engine.close();
    }
  });

  test("one that lacks the database is refused, and nothing is written into another in its place", async () => {
    const url = `${server.url}/99`;
    const refusal = {
      code: "Unavailable",
      retryable: false,
      message: expect.stringMatching(/Redis at \S+\/99 answers that it has no database of that number/),
      next: expect.stringContaining("`databases`"),
    };
    await expect(createRedisEngine({ url, ...deps })).rejects.toMatchObject(refusal);
    await expect(checkRedisStore(url, deps)).rejects.toMatchObject(refusal);
  });

  test("a user who may not ask INFO is told which rights Salt needs", async () => {
    await server.command("ACL", "SETUSER", "blind", "on", ">hush", "~salt:*", "&salt:*", "+@all", "-info");
    const url = server.url.replace("//", "//blind:hush@");
    const refusal = { code: "Unavailable", retryable: false, next: expect.stringContaining("+info") };
    await expect(createRedisEngine({ url, ...deps, warn: () => undefined })).rejects.toMatchObject(refusal);
    await expect(checkRedisStore(url, deps)).rejects.toMatchObject(refusal);
  });

  test("one that is no cluster is not waited for to become one", async () => {
    await expect(createRedisEngine({ url: server.url.replace(":", "-cluster:"), ...deps })).rejects.toMatchObject({
      message: expect.stringContaining("it is no Redis Cluster"),
      retryable: false,
      next: "Write redis:// in place of redis-cluster://.",
    });
  });

  test("a replica is refused", async () => {
    await server.command("REPLICAOF", "127.0.0.1", "1");
    try {
      expect((await notFine()).map(({ finding }) => finding)).toContain("it is a replica");
    } finally {
      await server.command("REPLICAOF", "NO", "ONE");
    }
  });
});
