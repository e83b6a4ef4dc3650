import fc from "fast-check";
import { partitionAt } from "#shared/domain/ids.ts";
import {
  type Check,
  type ClaimWant,
  type Engine,
  type Key,
  keyIn,
  leaseKey,
  leasesIndex,
  pausedCounter,
  queueIndex,
  queuesIndex,
  type RangeQuery,
  type Score,
  type Transaction,
  type Write,
} from "./engine.ts";

/**
 * Random histories over few names, so that they meet. A check is drawn by how it relates to what is there when the
 * commit begins; `resolveBatch` makes it a real one.
 */
export type Step =
  | {
      readonly step: "commit";
      readonly partition: number;
      readonly batch: readonly Draft[];
      readonly claim?: ClaimWant;
    }
  | { readonly step: "range"; readonly index: Key; readonly query: RangeQuery }
  | {
      readonly step: "read";
      readonly log: Key;
      readonly after: number;
      readonly limit: number;
      readonly bytesMax: number;
    }
  | { readonly step: "pass"; readonly ms: number }
  | { readonly step: "setClock"; readonly byMs: number }
  | { readonly step: "reopen" };

interface Draft {
  readonly checks: readonly DraftCheck[];
  readonly writes: readonly Write[];
  /** How many transactions back, of those that it relies on. */
  readonly after: readonly number[];
}

type DraftCheck =
  | { readonly kind: "stamp"; readonly key: Key; readonly expect: "present" | "absent" | "other" }
  | { readonly kind: "end"; readonly log: Key; readonly offset: number }
  | Extract<Check, { kind: "fewer" }>;

const partitions = [partitionAt(0), partitionAt(1)];
const queues = ["q1", "q2", 'q"3'];
const membersOf = ["a", "b", "c", "\u{1F600}", "\uFFFD", "x/y#1"];

/** Every key that a history of one partition can touch. */
const keysOf = (index: number) => {
  const partition = partitions[index] ?? partitionAt(0);
  const named = (...names: string[]) => names.map((name) => keyIn(partition, name));
  return {
    records: named("r/1", "r/2", "r/3"),
    leases: membersOf.map((member) => leaseKey(partition, member)),
    counters: [...named("c/1"), pausedCounter(partition)],
    logs: named("log/1", "log/2"),
    indexes: named("i/1", "i/2"),
    kept: [leasesIndex(partition), queuesIndex(partition), ...queues.map((queue) => queueIndex(partition, queue))],
  };
};

export const allKeys = partitions.map((_, index) => keysOf(index));

const member = fc.constantFrom(...membersOf);
const queue = fc.constantFrom(...queues);
const holder = fc.constantFrom("agt_1/1", "agt_2/1");
const value = fc.constantFrom("{}", "[]", '{"a":1}', "é");
const score: fc.Arbitrary<Score> = fc.oneof(
  fc.record({ at: fc.constantFrom(-1.5, 0, 1, 2, 3) }),
  fc.record({ nowPlusMs: fc.constantFrom(-1000, 0, 1000) }),
);
const stamp = fc.nat(1e9).map((number) => `s${number}`);

function writesIn(index: number): fc.Arbitrary<Write> {
  const keys = keysOf(index);
  const from = (list: readonly Key[]) => fc.constantFrom(...list);
  const kind = <Kind extends Write["kind"]>(name: Kind) => fc.constant(name);
  return fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: kind("set"), key: from(keys.records), stamp, value }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: kind("delete"),
        key: from([...keys.records, ...keys.counters, ...keys.leases, ...keys.logs]),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record(
        { kind: kind("rank"), index: from(keys.indexes), member, score, value },
        { requiredKeys: ["kind", "index", "member", "score"] },
      ),
    },
    { weight: 2, arbitrary: fc.record({ kind: kind("unrank"), index: from(keys.indexes), member }) },
    { weight: 6, arbitrary: fc.record({ kind: kind("enqueue"), queue, member, score }) },
    { weight: 2, arbitrary: fc.record({ kind: kind("dequeue"), queue, member }) },
    {
      weight: 3,
      arbitrary: fc.record(
        { kind: kind("hold"), member, forMs: fc.constantFrom(0, 500, 30_000), state: fc.constant("leased"), holder },
        { requiredKeys: ["kind", "member", "forMs"] },
      ),
    },
    { weight: 2, arbitrary: fc.record({ kind: kind("release"), member }) },
    { weight: 3, arbitrary: fc.record({ kind: kind("append"), log: from(keys.logs), value }) },
    { weight: 1, arbitrary: fc.record({ kind: kind("trim"), log: from(keys.logs), through: fc.nat(6) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: kind("add"),
        counter: from(keys.counters),
        delta: fc.integer({ min: -5, max: 5000 }),
      }),
    },
  ) as fc.Arbitrary<Write>;
}

function checksIn(index: number): fc.Arbitrary<DraftCheck> {
  const keys = keysOf(index);
  const stamped = [...keys.records, ...keys.leases, ...keys.counters];
  return fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("stamp" as const),
        key: fc.constantFrom(...stamped),
        expect: fc.constantFrom("present" as const, "present" as const, "absent" as const, "other" as const),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("end" as const),
        log: fc.constantFrom(...keys.logs),
        offset: fc.constantFrom(0, 0, 1),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record(
        {
          kind: fc.constant("fewer" as const),
          index: fc.constantFrom(...keys.indexes, ...keys.kept),
          than: fc.integer({ min: 0, max: 4 }),
          member,
        },
        { requiredKeys: ["kind", "index", "than"] },
      ),
    },
  ) as fc.Arbitrary<DraftCheck>;
}

const claimWant: fc.Arbitrary<ClaimWant> = fc.record({
  holdMs: fc.constantFrom(0, 5000),
  wants: fc.array(
    fc.record({ holder, queues: fc.array(queue, { maxLength: 4 }), take: fc.integer({ min: 0, max: 5 }) }),
    { maxLength: 2 },
  ),
});

function commitIn(index: number): fc.Arbitrary<Step> {
  const draft: fc.Arbitrary<Draft> = fc.record({
    checks: fc.array(checksIn(index), { maxLength: 2 }),
    writes: fc.array(writesIn(index), { maxLength: 5 }),
    after: fc.array(fc.integer({ min: 1, max: 2 }), { maxLength: 1 }),
  });
  return fc.record(
    {
      step: fc.constant("commit" as const),
      partition: fc.constant(index),
      batch: fc.array(draft, { maxLength: 4 }),
      claim: claimWant,
    },
    { requiredKeys: ["step", "partition", "batch"] },
  ) as fc.Arbitrary<Step>;
}

const bound = fc.constantFrom(Number.NEGATIVE_INFINITY, -1, 0, 1, 2.5, Number.POSITIVE_INFINITY);
const looks: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    step: fc.constant("range" as const),
    index: fc.constantFrom(...allKeys.flatMap(({ indexes, kept }) => [...indexes, ...kept])),
    query: fc.record(
      {
        from: bound,
        to: bound,
        after: fc.record({ score: fc.constantFrom(-1.5, 0, 1, 2), member }),
        limit: fc.integer({ min: 0, max: 8 }),
        reverse: fc.boolean(),
      },
      { requiredKeys: ["limit"] },
    ) as fc.Arbitrary<RangeQuery>,
  }),
  fc.record({
    step: fc.constant("read" as const),
    log: fc.constantFrom(...allKeys.flatMap(({ logs }) => logs)),
    after: fc.nat(6),
    limit: fc.nat(6),
    bytesMax: fc.constantFrom(1, 6, 1000),
  }),
);

/** One history. */
export const histories: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: commitIn(0) },
    { weight: 2, arbitrary: commitIn(1) },
    { weight: 3, arbitrary: looks },
    {
      weight: 1,
      arbitrary: fc.record({ step: fc.constant("pass" as const), ms: fc.constantFrom(0, 1, 1000, 40_000) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ step: fc.constant("setClock" as const), byMs: fc.constantFrom(-86_400_000, -10, 60_000) }),
    },
    { weight: 1, arbitrary: fc.constant({ step: "reopen" as const }) },
  ),
  { minLength: 5, maxLength: 40, size: "max" },
);

/** The batch, with the checks that were drawn made against what `engine` holds now. */
export async function resolveBatch(engine: Engine, batch: readonly Draft[]): Promise<Transaction[]> {
  const resolve = async (check: DraftCheck): Promise<Check> => {
    if (check.kind === "fewer") return check;
    if (check.kind === "end") {
      const last = (await engine.read(check.log, 0, 10_000)).at(-1);
      return { kind: "end", log: check.log, position: (last?.position ?? 0) + check.offset };
    }
    const [found] = (await engine.get([check.key])).found;
    const expected = { present: found?.stamp ?? null, absent: null, other: "other" }[check.expect];
    return { kind: "stamp", key: check.key, stamp: expected };
  };
  const drafted = batch.map(async ({ checks, writes, after }, index) => ({
    checks: await Promise.all(checks.map(resolve)),
    writes,
    after: after.filter((back) => back <= index).map((back) => index - back),
  }));
  return Promise.all(drafted);
}

/** All that an engine holds of what a history can have touched. */
export async function contents(engine: Engine): Promise<unknown> {
  const parts = allKeys.map(async ({ records, leases, counters, logs, indexes, kept }) => ({
    records: (await engine.get([...records, ...leases, ...counters])).found,
    logs: await Promise.all(logs.map((log) => engine.read(log, 0, 10_000))),
    indexes: await Promise.all(
      [...indexes, ...kept].map(async (index) => (await engine.range(index, { limit: 1000 })).rows),
    ),
  }));
  return Promise.all(parts);
}
