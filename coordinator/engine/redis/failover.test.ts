import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { partitionAt } from "#shared/domain/ids.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import {
  haveRedis,
  type RedisServer,
  type RedisServerOptions,
  startRedis,
} from "../../../tests/support/redis-server.ts";
import {
  type ClaimWant,
  type Engine,
  type EpochRecord,
  epochKey,
  keyIn,
  leaseKey,
  leasesIndex,
  type Write,
} from "../engine.ts";
import { createRedisEngine } from "./redis-engine.ts";

const partition = partitionAt(0);
const claim: ClaimWant = { holdMs: 60_000, wants: [{ holder: "agt_1/1", queues: ["q"], take: 1 }] };
const enqueue = (member: string): Write => ({ kind: "enqueue", queue: "q", member, score: { at: 1 } });
const log = keyIn(partition, "log");

describe.runIf(haveRedis())("a redis that began anew", () => {
  let server: RedisServer;
  let engine: Engine;
  let failovers = 0;
  const closing: (() => Promise<void>)[] = [];

  const begin = async (options: RedisServerOptions) => {
    failovers = 0;
    server = await startRedis(options);
    closing.push(() => server.close());
    engine = await createRedisEngine({
      url: server.url,
      clock: systemClock,
      random: systemRandom,
      onFailover: () => {
        failovers += 1;
      },
    });
    closing.push(() => engine.close());
  };
  beforeEach(() => {
    closing.length = 0;
  });
  afterEach(async () => {
    for (const close of closing.reverse()) await close();
  });

  const commit = (writes: readonly Write[], want?: ClaimWant) =>
    engine.commit(partition, [{ checks: [], writes }], want);
  const grant = async (member: string): Promise<number> => {
    const { claims } = await commit([enqueue(member)], claim);
    return claims[0]?.fence ?? 0;
  };
  const epoch = async (): Promise<EpochRecord | null> => {
    const { found } = await engine.get([epochKey(partition)]);
    return JSON.parse(found[0]?.value ?? "null") as EpochRecord | null;
  };
  const again = async () => {
    await server.kill();
    await server.start();
    await expect
      .poll(
        () =>
          engine.get([]).then(
            () => "answers",
            () => "fails",
          ),
        { timeout: 15_000 },
      )
      .toBe("answers");
  };

  test("C16 a server that began anew raises the epoch of a partition in its first commit, which ends all leases of before", async () => {
    await begin({ appendfsync: "always" });
    const before = await grant("m1");
    expect(await epoch()).toBeNull();
    await again();
    // What reads is answered as it is stored; the first commit raises.
    const { nowMs } = await commit([]);
    const raised = await epoch();
    expect(raised?.epoch).toBe(1);
    expect(raised?.fence).toBeGreaterThan(before);
    expect((await engine.range(leasesIndex(partition), { to: nowMs, limit: 9 })).rows).toEqual([
      { member: "m1", score: 0, value: null },
    ]);
    expect((await engine.get([leaseKey(partition, "m1")])).found[0]?.stamp).toBe(String(before));
    expect(await grant("m2")).toBeGreaterThanOrEqual(raised?.fence ?? Number.POSITIVE_INFINITY);
    await commit([]);
    expect(await epoch()).toEqual(raised);
    expect(failovers).toBe(1);
  });

  test("C16 a connection that was lost, to the same server, raises nothing", async () => {
    await begin({});
    await grant("m1");
    await server.command("CLIENT", "KILL", "TYPE", "normal");
    await expect
      .poll(
        () =>
          commit([]).then(
            () => "applied",
            () => "fails",
          ),
        { timeout: 15_000 },
      )
      .toBe("applied");
    expect(await epoch()).toBeNull();
    expect(failovers).toBe(0);
  });

  test("A7 C16 a server that has forgotten grants gives no fence again, whatever its clock", async () => {
    await begin({});
    await grant("m1");
    await server.command("SAVE");
    const forgotten = [await grant("m2"), await grant("m3")];
    await again();
    expect((await engine.get([leaseKey(partition, "m3")])).found[0]?.stamp).toBeNull();
    const anew = [await grant("m2"), await grant("m3")];
    expect(Math.min(...anew)).toBeGreaterThan(Math.max(...forgotten) + 59_000_000);
    expect((await epoch())?.epoch).toBe(1);
  });

  test("A5 killed with appendfsync always, it has all that was acknowledged", async () => {
    await begin({ appendfsync: "always" });
    const acknowledged = await appendUntilKilled();
    await again();
    const { length } = await engine.read(log, 0, 1_000_000);
    expect(length).toBeGreaterThanOrEqual(acknowledged);
    // One commit was under way: it may have been applied.
    expect(length).toBeLessThanOrEqual(acknowledged + 1);
  });

  test("A4 killed with appendfsync everysec, it has what is older than the window, and who asks is answered", async () => {
    await begin({ appendfsync: "everysec" });
    const early = await commit([{ kind: "append", log: keyIn(partition, "early"), value: "x" }]);
    await expect
      .poll(async () => (await engine.get([])).nowMs, { timeout: 5_000 })
      .toBeGreaterThan(early.nowMs + 2_500);
    const acknowledged = await appendUntilKilled();
    await again();
    expect(await engine.read(keyIn(partition, "early"), 0, 9)).toHaveLength(1);
    const { length } = await engine.read(log, 0, 1_000_000);
    expect(length).toBeLessThanOrEqual(acknowledged + 1);
    const { results } = await commit([{ kind: "append", log, value: "after" }]);
    expect(results).toEqual([{ outcome: "applied", positions: [length + 1] }]);
    expect(failovers).toBe(1);
  });

  /** How many were acknowledged, one after another, when the server was killed in the middle. */
  async function appendUntilKilled(): Promise<number> {
    let acknowledged = 0;
    for (;;) {
      if (acknowledged === 200) void server.kill();
      try {
        await commit([{ kind: "append", log, value: String(acknowledged) }]);
      } catch {
        return acknowledged;
      }
      acknowledged += 1;
    }
  }
});
