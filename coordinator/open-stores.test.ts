import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { partitionAt } from "#shared/domain/ids.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { haveRedis, type RedisServer, startRedis } from "../tests/support/redis-server.ts";
import { openStores } from "./open-stores.ts";

describe.runIf(haveRedis())("stores that coordinators share", () => {
  let redis: RedisServer;
  let folder: string;
  const told: string[] = [];
  const tell = (_: object, message: string) => void told.push(message);
  const deps = { clock: systemClock, random: systemRandom, logger: { warn: () => undefined, error: tell } };
  const open = (name: string) =>
    openStores({ dataFolder: path.join(folder, name), stores: { redis: redis.url } }, deps);
  beforeAll(async () => {
    redis = await startRedis();
    folder = await mkdtemp(path.join(tmpdir(), "salt-stores-"));
  });
  afterAll(async () => {
    await redis?.close();
    await rm(folder, { recursive: true, force: true });
  });

  test("a coordinator that would keep its blobs for itself is refused, one that has the others' folder is not", async () => {
    const first = await open("a");
    await expect(open("b")).rejects.toMatchObject({
      code: "BadRequest",
      message: expect.stringMatching(
        /^Cannot keep blobs in the folder \S+b\/blobs of \S+: other coordinators have the folder \S+a\/blobs/,
      ),
    });
    const second = await open("a");
    await Promise.all([first.close(), second.close()]);
  });

  test("A8 a coordinator starts on a Redis that is full: retention is to make room there", async () => {
    await redis.command("CONFIG", "SET", "maxmemory", "1");
    try {
      const stores = await open("a");
      await stores.close();
    } finally {
      await redis.command("CONFIG", "SET", "maxmemory", "0");
    }
  });

  test("C16 a Redis that has come back without anything is told of as what it is", async () => {
    const stores = await open("a");
    const commit = () => stores.engine.commit(partitionAt(0), [{ checks: [], writes: [] }]);
    await commit();
    await redis.kill();
    await redis.start();
    await expect
      .poll(
        () =>
          commit().then(
            () => told,
            () => told,
          ),
        { timeout: 20_000 },
      )
      .toHaveLength(1);
    expect(told[0]).toContain("Redis is empty, and was not");
    await stores.close();
  });
});
