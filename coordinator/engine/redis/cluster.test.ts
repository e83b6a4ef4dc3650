import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Partition, partitionAt } from "#shared/domain/ids.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { haveRedis, type RedisCluster, startRedisCluster } from "../../../tests/support/redis-server.ts";
import { type Engine, epochKey, keyIn } from "../engine.ts";
import { slotOf } from "./keyspace.ts";
import { createRedisEngine } from "./redis-engine.ts";

describe.runIf(haveRedis())("a redis cluster that changes", () => {
  let cluster: RedisCluster;
  let engine: Engine;
  beforeAll(async () => {
    cluster = await startRedisCluster({ appendfsync: "always" });
    engine = await createRedisEngine({ url: cluster.url, clock: systemClock, random: systemRandom });
  });
  afterAll(async () => {
    await engine?.close();
    await cluster?.close();
  });

  const ownerOf = (partition: Partition) => Math.floor((slotOf(partition) * 3) / 16_384);
  const append = async (partition: Partition) =>
    (
      await engine.commit(partition, [
        { checks: [], writes: [{ kind: "append", log: keyIn(partition, "log"), value: "x" }] },
      ])
    ).results[0]?.positions[0];

  test("a node of it that is asked as a single server is refused at the start", async () => {
    const url = cluster.nodes[0]?.url ?? "";
    const alone = createRedisEngine({ url, clock: systemClock, random: systemRandom, warn: () => undefined });
    await expect(alone).rejects.toMatchObject({
      message: expect.stringContaining("it is a node of a Redis Cluster"),
      next: "Write redis-cluster:// in place of redis://.",
    });
  });

  test("A10 partitions of all masters are read in one look", async () => {
    const partitions = Array.from({ length: 16 }, (_, index) => partitionAt(index));
    await Promise.all(partitions.map(append));
    const keys = partitions.map((partition) => keyIn(partition, "none"));
    const { found } = await engine.get(keys);
    expect(found.map(({ key }) => key)).toEqual(keys);
    expect(new Set(partitions.map(ownerOf))).toEqual(new Set([0, 1, 2]));
  });

  test("a slot that moves to another master is followed, and nobody notices", async () => {
    const partition = partitionAt(100);
    await engine.get([keyIn(partition, "none")]);
    const [from, to] = [ownerOf(partition), (ownerOf(partition) + 1) % 3];
    const id = String(await cluster.nodes[to]?.command("CLUSTER", "MYID"));
    for (const index of [to, from, 3 - from - to]) {
      await cluster.nodes[index]?.command("CLUSTER", "SETSLOT", String(slotOf(partition)), "NODE", id);
    }
    expect(await append(partition)).toBe(1);
    expect(await cluster.nodes[to]?.command("LLEN", `salt:l{${partition}}log`)).toBe(1);
    expect(await engine.read(keyIn(partition, "log"), 0, 9)).toHaveLength(1);
  });

  test("C16 while a master is away its partitions alone fail, and begin a new epoch when it is there again", async () => {
    const partition = partitionAt(0);
    const other = partitionAt(
      [1, 2, 3, 4, 5, 6, 7].find((index) => ownerOf(partitionAt(index)) !== ownerOf(partition)) ?? 1,
    );
    const before = await append(partition);
    const master = cluster.nodes[ownerOf(partition)];
    await cluster.nodes[ownerOf(other)]?.command("CONFIG", "SET", "cluster-require-full-coverage", "no");
    await master?.kill();
    await expect.poll(() => append(partition).catch((error: { code: string }) => error.code)).toBe("Unavailable");
    expect(await append(other)).toBeGreaterThan(0);
    await master?.start();
    await expect.poll(() => append(partition).catch(() => 0), { timeout: 15_000 }).toBeGreaterThan(before ?? 0);
    const { found } = await engine.get([epochKey(partition), epochKey(other)]);
    expect(found.map(({ value }) => value !== null)).toEqual([true, false]);
  });
});
