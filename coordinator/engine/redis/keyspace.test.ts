import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { partitionAt } from "#shared/domain/ids.ts";
import { haveRedis, type RedisServer, startRedis } from "../../../tests/support/redis-server.ts";
import { histories, resolveBatch, type Step } from "../history.ts";
import { ManualClock } from "../manual-clock.ts";
import { createMemoryEngine } from "../memory/memory-engine.ts";
import { encodeCommit } from "./encode-commit.ts";
import { createKeyspace, slotOf } from "./keyspace.ts";

describe.runIf(haveRedis())("keys", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis({ settings: ["--cluster-enabled", "yes"] });
  });
  afterAll(() => server.close());

  test("A10 all keys of a commit are in the partition's slot, as Redis counts slots", async () => {
    const keyspace = createKeyspace("salt:");
    const slots = new Map<string, number>();
    const collect = async (history: readonly Step[]) => {
      const model = createMemoryEngine({ clock: new ManualClock() });
      for (const step of history) {
        if (step.step !== "commit") continue;
        const partition = partitionAt(step.partition);
        const batch = await resolveBatch(model, step.batch);
        await model.commit(partition, batch, step.claim);
        const { keys } = encodeCommit(keyspace, { partition, batch, claim: step.claim, head: ["", "", "", ""] });
        const others = [keyspace.bases(partition), keyspace.channel(partition)];
        for (const key of [...keys, ...others]) slots.set(key, slotOf(partition));
      }
    };
    await fc.assert(fc.asyncProperty(histories, collect), { numRuns: 50 });
    expect(slots.size).toBeGreaterThan(40);
    for (const [key, slot] of slots)
      expect([key, await server.command("CLUSTER", "KEYSLOT", key)]).toEqual([key, slot]);
  });

  test("C8 sixteen partitions lie in sixteen slots, spread over three masters", () => {
    const slots = Array.from({ length: 16 }, (_, index) => slotOf(partitionAt(index)));
    expect(new Set(slots).size).toBe(16);
    const perMaster = [0, 1, 2].map(
      (master) => slots.filter((slot) => Math.floor((slot * 3) / 16_384) === master).length,
    );
    expect(Math.min(...perMaster)).toBeGreaterThanOrEqual(3);
  });
});
