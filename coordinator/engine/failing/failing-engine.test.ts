import { afterEach, beforeEach, expect, test } from "vitest";
import { partitionAt } from "#shared/domain/ids.ts";
import { SeededRandom } from "../../../tests/support/seeded-random.ts";
import { describeEngine } from "../contract.ts";
import { type Engine, type Hint, keyIn, type Transaction } from "../engine.ts";
import { ManualClock } from "../manual-clock.ts";
import { createMemoryEngine } from "../memory/memory-engine.ts";
import { createFailingEngine, type Faults } from "./failing-engine.ts";

describeEngine("failing, without faults,", ({ clock }) =>
  createFailingEngine(createMemoryEngine({ clock }), { clock, random: new SeededRandom(1), faults: {} }),
);

const partition = partitionAt(0);
const log = keyIn(partition, "log");
const appending = (value: string): Transaction => ({ checks: [], writes: [{ kind: "append", log, value }] });

let clock: ManualClock;
let inner: Engine;
const fail = (faults: Faults, seed = 1) =>
  createFailingEngine(inner, { clock, random: new SeededRandom(seed), faults });
const logged = async () => (await inner.read(log, 0, 10_000)).map(({ value }) => value);

beforeEach(() => {
  clock = new ManualClock();
  inner = createMemoryEngine({ clock });
});
afterEach(() => inner.close());

test("a refused call is Unavailable, and nothing was done", async () => {
  const engine = fail({ refuse: 1 });
  const refused = { code: "Unavailable", retryable: true, next: expect.any(String) };
  await expect(engine.commit(partition, [appending("x")])).rejects.toMatchObject(refused);
  await expect(engine.get([])).rejects.toMatchObject(refused);
  await expect(engine.range(keyIn(partition, "index"), { limit: 1 })).rejects.toMatchObject(refused);
  await expect(engine.read(log, 0, 1)).rejects.toMatchObject(refused);
  expect(await logged()).toEqual([]);
  expect(engine.struck.refuse).toBe(4);
});

test("C5 a commit whose answer is lost is Unavailable too, and was applied", async () => {
  const engine = fail({ loseAnswer: 1 });
  await expect(engine.commit(partition, [appending("x")])).rejects.toMatchObject({ code: "Unavailable" });
  expect(await logged()).toEqual(["x"]);
});

test("C28 a commit that is applied late fails first, and is applied after a later one", async () => {
  const engine = fail({ applyLate: 1, delayMsMax: 100 });
  await expect(engine.commit(partition, [appending("late")])).rejects.toMatchObject({ code: "Unavailable" });
  await inner.commit(partition, [appending("later")]);
  expect(await logged()).toEqual(["later"]);
  const calm = engine.calm();
  clock.pass(100);
  await calm;
  expect(await logged()).toEqual(["later", "late"]);
});

test("C28 delays reorder commits that are in flight together", async () => {
  const orders = new Set<string>();
  for (let seed = 1; seed <= 20; seed++) {
    inner = createMemoryEngine({ clock });
    const engine = fail({ delay: 0.5, delayMsMax: 100 }, seed);
    const all = Promise.all(["a", "b", "c"].map((value) => engine.commit(partition, [appending(value)])));
    clock.pass(50);
    await new Promise(setImmediate);
    clock.pass(50);
    await all;
    orders.add((await logged()).join(""));
  }
  expect(orders.size).toBeGreaterThan(1);
});

test("C10 hints are dropped and repeated", async () => {
  const ending = new AbortController();
  const dropping = fail({ dropHint: 1 }).listen(["t"], ending.signal);
  const repeating = fail({ repeatHint: 1 }).listen(["t"], ending.signal);
  const heard = async (hints: AsyncIterable<Hint>) => {
    const all: string[] = [];
    for await (const { note } of hints) all.push(note);
    return all;
  };
  const all = Promise.all([heard(dropping), heard(repeating)]);
  await inner.commit(partition, [{ checks: [], writes: [{ kind: "signal", topic: "t", note: "n" }] }]);
  await new Promise(setImmediate);
  ending.abort();
  expect(await all).toEqual([[], ["n", "n"]]);
});

test("each fault strikes about as often as it was asked to, the same for the same seed", async () => {
  const strike = async () => {
    const engine = fail({ refuse: 0.2, loseAnswer: 0.1 }, 7);
    let failed = 0;
    for (let n = 0; n < 500; n++) {
      await engine.commit(partition, []).catch(() => {
        failed++;
      });
    }
    expect(failed).toBe(engine.struck.refuse + engine.struck.loseAnswer);
    return { ...engine.struck };
  };
  const struck = await strike();
  expect(struck.refuse).toBeGreaterThan(60);
  expect(struck.refuse).toBeLessThan(140);
  expect(struck.loseAnswer).toBeGreaterThan(20);
  expect(struck.loseAnswer).toBeLessThan(70);
  expect(await strike()).toEqual(struck);
});

test("once calm, no fault strikes any more", async () => {
  const engine = fail({ refuse: 1, loseAnswer: 1, applyLate: 1, dropHint: 1 });
  await expect(engine.get([])).rejects.toMatchObject({ code: "Unavailable" });
  await engine.calm();
  await engine.commit(partition, [appending("x")]);
  expect(await logged()).toEqual(["x"]);
});
