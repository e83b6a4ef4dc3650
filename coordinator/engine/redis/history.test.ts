import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { partitionAt } from "#shared/domain/ids.ts";
import { systemRandom } from "#shared/system.ts";
import { haveRedis, type RedisServer, startRedis } from "../../../tests/support/redis-server.ts";
import type { Committed, Engine } from "../engine.ts";
import { contents, histories, resolveBatch, type Step } from "../history.ts";
import { ManualClock } from "../manual-clock.ts";
import { createMemoryEngine } from "../memory/memory-engine.ts";
import { createRedisEngine } from "./redis-engine.ts";

/** `SALT_SEED` repeats the history that a failure printed, `SALT_HISTORIES` sets how many are tried. */
const seed = process.env.SALT_SEED === undefined ? undefined : Number(process.env.SALT_SEED);
const numRuns = Number(process.env.SALT_HISTORIES ?? 150);

describe.runIf(haveRedis())("redis", () => {
  let server: RedisServer;
  let tried = 0;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.close());

  test("redis answers every step of random histories as the memory model does, and holds the same after reopening", async () => {
    const compareAnew = (history: readonly Step[]) => compare(history, `${server.url}?space=h${tried++}:`);
    await fc.assert(fc.asyncProperty(histories, compareAnew), { numRuns, ...(seed !== undefined && { seed }) });
  }, 120_000);
});

async function compare(history: readonly Step[], url: string): Promise<void> {
  const clock = new ManualClock();
  const open = () => createRedisEngine({ url, clock, random: systemRandom, time: () => clock.nowMs() });
  const model = new Side(createMemoryEngine({ clock }));
  const redis = new Side(await open());
  const same = async (ask: (side: Side) => Promise<unknown>) => {
    const [expected, actual] = [await ask(model), await ask(redis)];
    expect(redis.plain(actual)).toEqual(model.plain(expected));
  };
  const everywhere = async () => {
    for (const index of [0, 1]) {
      await same(({ engine }) => engine.commit(partitionAt(index), [{ checks: [], writes: [] }]));
    }
  };
  try {
    for (const step of history) {
      switch (step.step) {
        case "commit":
          await same((side) => side.commit(step));
          break;
        case "range":
          await same(({ engine }) => engine.range(step.index, step.query));
          break;
        case "read":
          await same(({ engine }) => engine.read(step.log, step.after, step.limit, step.bytesMax));
          break;
        case "pass":
          clock.pass(step.ms);
          break;
        case "setClock":
          clock.set(clock.nowMs() + step.byMs);
          break;
        case "reopen":
          // Stores the time, and hears it: between its last answer and its first a clock that was set back stands still.
          await everywhere();
          await redis.engine.close();
          redis.engine = await open();
          await everywhere();
      }
    }
    await same(({ engine }) => contents(engine));
  } finally {
    await redis.engine.close();
  }
}

/** Redis counts fences by partition, the model over all: they are compared by which grant of the partition they are of. */
class Side {
  engine: Engine;
  readonly #grants = new Map<string, string>();
  readonly #last = new Map<number, number>();

  constructor(engine: Engine) {
    this.engine = engine;
  }

  async commit({ partition, batch, claim }: Step & { step: "commit" }): Promise<Committed> {
    const real = await resolveBatch(this.engine, batch);
    const committed = await this.engine.commit(partitionAt(partition), real, claim);
    for (const { fence } of committed.claims) {
      expect(fence).toBeGreaterThan(this.#last.get(partition) ?? 0);
      this.#last.set(partition, fence);
      this.#grants.set(`${partition}/${fence}`, `grant ${this.#grants.size}`);
    }
    const claims = committed.claims.map((claim) => ({
      ...claim,
      fence: this.#grants.get(`${partition}/${claim.fence}`),
    }));
    return { ...committed, claims } as unknown as Committed;
  }

  plain(answer: unknown): unknown {
    const named = (_: string, value: unknown) => {
      const { key, stamp } = (value ?? {}) as { key?: unknown; stamp?: unknown };
      const partition = typeof key === "string" ? /^\{p(\d+)\}lease\//.exec(key)?.[1] : undefined;
      if (partition === undefined || stamp === null) return value;
      return { ...(value as object), key: `lease of ${partition}`, stamp: this.#grants.get(`${partition}/${stamp}`) };
    };
    return JSON.parse(JSON.stringify(answer, named));
  }
}
