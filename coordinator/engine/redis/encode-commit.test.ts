import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { partitionAt } from "#shared/domain/ids.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { haveRedis, type RedisServer, startRedis } from "../../../tests/support/redis-server.ts";
import { type Engine, keyIn, type Write } from "../engine.ts";
import { createRedisEngine } from "./redis-engine.ts";

const partition = partitionAt(0);

describe.runIf(haveRedis())("a commit of many keys", () => {
  let server: RedisServer;
  let engine: Engine;
  beforeAll(async () => {
    server = await startRedis();
    engine = await createRedisEngine({ url: server.url, clock: systemClock, random: systemRandom });
  });
  afterAll(async () => {
    await engine?.close();
    await server?.close();
  });

  const setAll = (count: number, load: string): Write[] =>
    Array.from({ length: count }, (_, n) => {
      const key = keyIn(partition, `${load}/${n}`);
      return { kind: "set", key, stamp: `s${n}`, value: String(n) } as const;
    });

  // A key's number is written in characters that are letters of steps too.
  test("whatever the number of the last key is, it is not taken for a step", async () => {
    for (let count = 1; count <= 100; count++) {
      const { results } = await engine.commit(partition, [{ checks: [], writes: setAll(count, `load${count}`) }]);
      expect(results).toEqual([{ outcome: "applied", positions: [] }]);
    }
  });

  test("ten thousand keys are told apart, and what is passed over is passed over whole", async () => {
    const writes = setAll(10_000, "many");
    const refused = { checks: [{ kind: "stamp", key: keyIn(partition, "none"), stamp: "s" } as const], writes };
    const { results } = await engine.commit(partition, [refused, { checks: [], writes }, refused]);
    expect(results.map(({ outcome }) => outcome)).toEqual(["conflict", "applied", "conflict"]);
    for (const n of [0, 94, 95, 9_024, 9_025, 9_999]) {
      const { found } = await engine.get([keyIn(partition, `many/${n}`)]);
      expect(found[0]).toMatchObject({ stamp: `s${n}`, value: String(n) });
    }
  });
});
