import { afterAll, beforeAll, describe } from "vitest";
import { systemRandom } from "#shared/system.ts";
import {
  haveRedis,
  type RedisCluster,
  type RedisServer,
  startRedis,
  startRedisCluster,
} from "../../../tests/support/redis-server.ts";
import { describeEngine } from "../contract.ts";
import { createRedisEngine } from "./redis-engine.ts";

describe.runIf(haveRedis())("redis", () => {
  describe("on one server", () => {
    let server: RedisServer;
    beforeAll(async () => {
      server = await startRedis();
    });
    afterAll(() => server.close());

    describeEngine("redis", async ({ clock }) => {
      await server.command("FLUSHALL");
      return await createRedisEngine({ url: server.url, clock, random: systemRandom, time: () => clock.nowMs() });
    });
  });

  describe("A10 on a cluster of three", () => {
    let cluster: RedisCluster;
    beforeAll(async () => {
      cluster = await startRedisCluster();
    });
    afterAll(() => cluster.close());

    describeEngine("redis cluster", async ({ clock }) => {
      await Promise.all(cluster.nodes.map((node) => node.command("FLUSHALL")));
      return await createRedisEngine({ url: cluster.url, clock, random: systemRandom, time: () => clock.nowMs() });
    });
  });
});
