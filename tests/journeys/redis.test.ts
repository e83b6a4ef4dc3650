import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createRedisEngine } from "#coordinator/engine/redis/redis-engine.ts";
import { limits } from "#shared/domain/limits.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { passTasks } from "../../bench/pass-tasks.ts";
import { type Journeys, seededRandom, startJourneys, until } from "../support/journeys.ts";
import { haveRedis, type RedisServer, startRedis } from "../support/redis-server.ts";
import { runUnderFire } from "../support/wave-under-fire.ts";

describe.runIf(haveRedis())("on Redis, in sixteen partitions", () => {
  let redis: RedisServer;
  let salt: Journeys;
  beforeAll(async () => {
    redis = await startRedis({ appendfsync: "always" });
    salt = await startJourneys({ slots: 4, coordinator: ["--redis", redis.url] });
  }, 120_000);
  afterAll(async () => {
    await salt?.close();
    await redis?.close();
  });

  const ask = async (path: string, init: RequestInit = {}) =>
    await fetch(`${salt.url}${path}`, { ...init, headers: { authorization: `Bearer ${salt.token}`, ...init.headers } });

  test("a run of a thousand tasks settles each of them once, and comes to the right output", async () => {
    const { executions } = await runUnderFire(salt, {
      random: seededRandom("redis"),
      kills: 0,
      kill: async () => "nothing",
    });
    expect(executions).toBe(1_000);
    expect(salt.coordinator().stderr()).not.toMatch(/"level":(50|60)/);
  }, 90_000);

  test("C26 publishing, granting and settling a task takes at most ten commands of Redis, those within the script included", async () => {
    const commands = async () => {
      const stats = String(await redis.command("INFO", "commandstats"));
      return [...stats.matchAll(/calls=(\d+)/g)].reduce((sum, [, calls]) => sum + Number(calls), 0);
    };
    const engine = await createRedisEngine({
      url: `${redis.url}?space=budget:`,
      clock: systemClock,
      random: systemRandom,
    });
    const tasks = 5_000;
    const before = await commands();
    // As many a commit as a batch of moves has room for.
    await passTasks(engine, { name: "budget", tasks, perCommit: limits.batchMovesMax / 2 });
    const each = ((await commands()) - before) / tasks;
    await engine.close();
    console.info(`  ${each.toFixed(1)} commands a task`);
    expect(each).toBeLessThan(10);
  }, 60_000);

  test("A5 Redis is killed and started again in the middle: meanwhile the API says when to come back, and nothing is settled twice", async () => {
    const random = seededRandom("redis killed");
    const answers: { status: number; retryAfter: string | null }[] = [];
    await runUnderFire(salt, {
      random,
      kills: 3,
      async kill() {
        await redis.kill();
        await until("the API says that it is away", async () => {
          const { status, headers } = await ask("/v1/runs");
          answers.push({ status, retryAfter: headers.get("retry-after") });
          return status !== 200;
        });
        await redis.start();
        await until("the API answers again", async () => (await ask("/v1/runs")).status === 200);
        return "redis killed and started";
      },
    });
    const away = answers.filter(({ status }) => status !== 200);
    expect(away).toHaveLength(3);
    for (const answer of away) expect(answer).toEqual({ status: 503, retryAfter: expect.stringMatching(/^\d+$/) });
    expect(salt.coordinator().stderr()).not.toMatch(/"level":60/);
  }, 120_000);
});
