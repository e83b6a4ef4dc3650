import { describe, expect, it } from "vitest";
import { SaltError } from "#shared/domain/errors.ts";
import { partitionAt } from "#shared/domain/ids.ts";
import type { Clock } from "#shared/ports.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { type ClaimWant, type Engine, type Key, keyIn, type Transaction } from "./engine.ts";
import { createFailingEngine } from "./failing/failing-engine.ts";
import { createMemoryEngine } from "./memory/memory-engine.ts";
import type { Move } from "./move.ts";
import { createMover, type MoverDeps } from "./mover.ts";

const partition = partitionAt(0);
const counted = keyIn(partition, "counted");

/** Adds one to a record: loses an update if a check is missing anywhere. */
const increment: Move<Key, number> = {
  name: "increment",
  reads: (key) => [key],
  decide(view, key) {
    const count = (view.get<{ count: number }>(key)?.count ?? 0) + 1;
    return { transactions: [{ checks: [], writes: [{ kind: "set", key, value: { count } }] }], answer: () => count };
  },
};

const read: Move<Key, number> = {
  name: "read",
  reads: (key) => [key],
  decide: (view, key) => {
    const count = view.get<{ count: number }>(key)?.count ?? 0;
    return { transactions: [], answer: () => count };
  },
};

interface Counts {
  commits: Transaction[][];
  gets: number;
}

function counting(engine: Engine): Engine & Counts {
  const counts: Counts = { commits: [], gets: 0 };
  return Object.assign(counts, {
    get: (keys: readonly Key[]) => {
      counts.gets += 1;
      return engine.get(keys);
    },
    commit: (name: typeof partition, batch: readonly Transaction[], claim?: ClaimWant) => {
      counts.commits.push([...batch]);
      return claim ? engine.commit(name, batch, claim) : engine.commit(name, batch);
    },
    range: engine.range.bind(engine),
    read: engine.read.bind(engine),
    listen: engine.listen.bind(engine),
    close: engine.close.bind(engine),
  });
}

const moverOn = (engine: Engine, more: Partial<MoverDeps> = {}, clock: Clock = systemClock) =>
  createMover({ engine, clock, random: systemRandom, ...more });

describe("the mover", () => {
  it("C6 reads in one more round what went with the cache while the first was under way", async () => {
    const memory = counting(createMemoryEngine({ clock: systemClock }));
    const many = Array.from({ length: 20 }, (_, index) => keyIn(partition, `many/${index}`));
    const slow = keyIn(partition, "slow");
    const gate = Promise.withResolvers<void>();
    const lost = Promise.withResolvers<never>();
    let losing = false;
    const engine: Engine = Object.assign(Object.create(memory), {
      get: async (keys: readonly Key[]) => {
        if (keys.includes(slow)) await gate.promise;
        return memory.get(keys);
      },
      commit: (...given: Parameters<Engine["commit"]>) => (losing ? lost.promise : memory.commit(...given)),
    });
    const mover = moverOn(engine);
    const sum: Move<null, number> = {
      name: "sum",
      reads: () => [...many, slow],
      decide(view) {
        const count = [...many, slow].reduce((sum, key) => sum + (view.get<{ count: number }>(key)?.count ?? 0), 0);
        const write = { kind: "set", key: counted, value: { count } } as const;
        return { transactions: [{ checks: [], writes: [write] }], answer: () => count };
      },
    };
    for (const key of many) await mover.move(partition, increment, key);
    losing = true;
    const doomed = mover.move(partition, increment, keyIn(partition, "other"));
    await new Promise(setImmediate);
    const summed = mover.move(partition, sum, null);
    await new Promise(setImmediate);
    losing = false;
    // What the engine did not answer to leaves nothing in the cache that may be believed.
    lost.reject(new SaltError("Unavailable", "the engine is away"));
    await new Promise(setImmediate);
    const before = memory.gets;
    gate.resolve();
    expect(await summed).toBe(many.length);
    // The first, which waited at the gate, and one for all that was lost.
    expect(memory.gets - before).toBe(2);
    expect(await doomed).toBe(1);
  });

  it("C6 reads no record that a move takes to be new, and decides again on what is there when it is not", async () => {
    const engine = counting(createMemoryEngine({ clock: systemClock }));
    const create: Move<Key, number> = { ...increment, name: "create", news: (key) => [key] };
    const first = moverOn(engine);
    expect(await first.move(partition, create, counted)).toBe(1);
    expect([engine.gets, engine.commits.length]).toEqual([0, 1]);
    // Another's mover knows nothing of it.
    expect(await moverOn(engine).move(partition, create, counted)).toBe(2);
    expect(engine.gets).toBeGreaterThan(0);
    const looking: Move<Key, number> = { ...read, name: "look", news: (key) => [key] };
    expect(await moverOn(engine).move(partition, looking, counted), "no answer rests on a guess").toBe(2);
  });

  it("C6 decides the moves of a turn in order, each on what those before it write, and commits them together", async () => {
    const engine = counting(createMemoryEngine({ clock: systemClock }));
    const mover = moverOn(engine);
    const answers = await Promise.all(Array.from({ length: 50 }, () => mover.move(partition, increment, counted)));
    expect(answers).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
    expect(engine.commits).toHaveLength(1);
    expect(engine.gets).toBe(1);
  });

  it("C6 commits at most a hundred moves at once", async () => {
    const engine = counting(createMemoryEngine({ clock: systemClock }));
    const mover = moverOn(engine);
    await Promise.all(Array.from({ length: 250 }, () => mover.move(partition, increment, counted)));
    expect(engine.commits.map((batch) => batch.length)).toEqual([100, 100, 50]);
  });

  it("A8 commits moves that free room apart from others, in turn with them, as a full engine applies no others", async () => {
    const engine = counting(createMemoryEngine({ clock: systemClock }));
    const mover = moverOn(engine);
    const removal: Move<Key, number> = { ...increment, name: "removal", frees: true };
    const other = keyIn(partition, "other");
    await Promise.all([
      mover.move(partition, increment, counted),
      mover.move(partition, removal, other),
      mover.move(partition, increment, counted),
      mover.move(partition, removal, other),
    ]);
    expect(engine.commits.map((batch) => batch.map(({ frees }) => frees === true))).toEqual([
      [true, true],
      [false, false],
    ]);
  });

  it("C3 loses no update when two coordinators move the same record", async () => {
    const engine = createMemoryEngine({ clock: systemClock });
    const movers = [moverOn(engine), moverOn(engine)];
    const moves = Array.from({ length: 200 }, (_, index) => movers[index % 2]?.move(partition, increment, counted));
    const answers = await Promise.all(moves);
    expect(new Set(answers).size).toBe(200);
    const { found } = await engine.get([counted]);
    expect(found[0]?.value).toBe('{"count":200}');
  });

  it("C5 answers a move whose commit was lost on the way as if it had been heard", async () => {
    const once: Move<Key, "first" | "again"> = {
      name: "once",
      reads: (key) => [key],
      decide: (view, key) =>
        view.get(key)
          ? { transactions: [], answer: () => "again" }
          : {
              transactions: [
                {
                  checks: [],
                  writes: [
                    { kind: "set", key, value: {} },
                    { kind: "add", counter: keyIn(partition, "n"), delta: 1 },
                  ],
                },
              ],
              answer: () => "first",
            },
    };
    const faults = {
      refuse: 0.2,
      loseAnswer: 0.3,
      applyLate: 0.1,
      delay: 0.2,
      dropHint: 0,
      repeatHint: 0,
      delayMsMax: 3,
    };
    const engine = createFailingEngine(createMemoryEngine({ clock: systemClock }), {
      random: systemRandom,
      clock: systemClock,
      faults,
    });
    const mover = moverOn(engine);
    const keys = Array.from({ length: 60 }, (_, index) => keyIn(partition, `once/${index}`));
    await Promise.all(keys.flatMap((key) => [mover.move(partition, once, key), mover.move(partition, once, key)]));
    await engine.calm();
    const { found } = await engine.get([keyIn(partition, "n")]);
    expect(found[0]?.value).toBe("60");
  });

  it("is at rest only when no move is left, also none that pauses before it is tried again", async () => {
    const memory = counting(createMemoryEngine({ clock: systemClock }));
    let refused = 0;
    const engine: Engine = Object.assign(Object.create(memory), {
      commit: async (...given: Parameters<Engine["commit"]>) => {
        refused += 1;
        if (refused === 1) throw new SaltError("Unavailable", "the engine is away");
        return memory.commit(...given);
      },
    });
    const mover = moverOn(engine, { random: { ...systemRandom, float: () => 0.99 } });
    const answers: number[] = [];
    const moved = mover.move(partition, increment, counted).then((answer) => answers.push(answer));
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    expect(refused).toBe(1);
    await mover.rest();
    expect(answers).toEqual([1]);
    await moved;
  });

  it("C6 gives each move of a batch as many rows of an index as it asks for", async () => {
    const engine = createMemoryEngine({ clock: systemClock });
    const index = keyIn(partition, "index");
    const rank = (member: string) => ({ kind: "rank", index, member, score: { at: 0 } }) as const;
    await engine.commit(partition, [{ checks: [], writes: ["a", "b", "c"].map(rank) }]);
    const look: Move<number, number> = {
      name: "look",
      reads: () => [],
      decide(view, limit) {
        const count = view.rows(index, limit).length;
        return { transactions: [], answer: () => count };
      },
    };
    const mover = moverOn(engine);
    expect(await Promise.all([3, 1, 2].map((limit) => mover.move(partition, look, limit)))).toEqual([3, 1, 2]);
  });

  it("gives an answer that writes nothing on fresh reads, though its cache is stale", async () => {
    const engine = createMemoryEngine({ clock: systemClock });
    const [mine, other] = [moverOn(engine), moverOn(engine)];
    await mine.move(partition, increment, counted);
    await other.move(partition, increment, counted);
    expect(await mine.move(partition, read, counted)).toBe(2);
  });

  it("C1 sends the claim in the commit of the moves that fill the queue", async () => {
    const engine = counting(createMemoryEngine({ clock: systemClock }));
    const claimed: string[] = [];
    const mover = moverOn(engine, {
      wantClaims: (_, batch) =>
        batch.length > 0 ? { holdMs: 1_000, wants: [{ holder: "a:1", queues: ["q"], take: 5 }] } : null,
      onClaims: (_, _want, claims) => claimed.push(...(claims ?? []).map(({ member }) => member)),
    });
    const enqueue: Move<string, void> = {
      name: "enqueue",
      reads: () => [],
      decide: (_view, member) => ({
        transactions: [{ checks: [], writes: [{ kind: "enqueue", queue: "q", member, score: { at: 0 } }] }],
        answer: () => undefined,
      }),
    };
    await mover.move(partition, enqueue, "t1");
    expect(claimed).toEqual(["t1"]);
    expect(engine.commits).toHaveLength(1);
  });

  it("refuses what an engine that cannot be reached keeps it from doing, and says so as retryable", async () => {
    const faults = { refuse: 1, loseAnswer: 0, applyLate: 0, delay: 0, dropHint: 0, repeatHint: 0, delayMsMax: 0 };
    const engine = createFailingEngine(createMemoryEngine({ clock: systemClock }), {
      random: systemRandom,
      clock: systemClock,
      faults,
    });
    let asked = 0;
    const hurried: Clock = {
      ...systemClock,
      monotonicMs() {
        asked += 1;
        return asked * 3_000;
      },
    };
    await expect(moverOn(engine, {}, hurried).move(partition, increment, counted)).rejects.toMatchObject({
      code: "Unavailable",
      retryable: true,
    });
  });
});
