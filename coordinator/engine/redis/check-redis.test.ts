import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock, systemRandom } from "#shared/system.ts";
import { haveRedis, type RedisServer, startRedis } from "../../../tests/support/redis-server.ts";
import { checkRedisStore } from "../../check-stores.ts";
import { createRedisEngine } from "./redis-engine.ts";

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

  test("a replica is refused", async () => {
    await server.command("REPLICAOF", "127.0.0.1", "1");
    try {
      expect((await notFine()).map(({ finding }) => finding)).toContain("it is a replica");
    } finally {
      await server.command("REPLICAOF", "NO", "ONE");
    }
  });
});
