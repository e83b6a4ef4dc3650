import { partitionAt } from "#shared/domain/ids.ts";
import {
  type Check,
  type Claim,
  type ClaimWant,
  type Engine,
  type Key,
  keyIn,
  type LeaseRecord,
  leaseKey,
  type RangeQuery,
  type Write,
} from "../engine.ts";
import type { ManualClock } from "../manual-clock.ts";

/** The engine under test, new for each test, and its clock. */
export let engine: Engine;
export let clock: ManualClock;

export function setSubject(subject: { readonly engine: Engine; readonly clock: ManualClock }): void {
  engine = subject.engine;
  clock = subject.clock;
}

export const partition = partitionAt(0);
export const key = (name: string): Key => keyIn(partition, name);
export const set = (name: string, stamp: string, value = "{}"): Write => ({
  kind: "set",
  key: key(name),
  stamp,
  value,
});
export const append = (log: string, value: string): Write => ({ kind: "append", log: key(log), value });
export const rank = (member: string, at: number, value?: string): Write => ({
  kind: "rank",
  index: key("index"),
  member,
  score: { at },
  ...(value !== undefined && { value }),
});
export const enqueue = (queue: string, member: string, at: number): Write => ({
  kind: "enqueue",
  queue,
  member,
  score: { at },
});
export const stampIs = (name: string, stamp: string | null): Check => ({ kind: "stamp", key: key(name), stamp });
export const fewer = (than: number, member?: string): Check => ({
  kind: "fewer",
  index: key("index"),
  than,
  ...(member !== undefined && { member }),
});
export const endIs = (log: string, position: number): Check => ({ kind: "end", log: key(log), position });
export const want = (queues: readonly string[], take: number, holder = "agt_1/1"): ClaimWant => ({
  holdMs: 5_000,
  wants: [{ holder, queues, take }],
});

export const write = async (...writes: Write[]) => {
  const { results } = await engine.commit(partition, [{ checks: [], writes }]);
  return results[0]?.outcome;
};
export const tryWith = async (...checks: Check[]) => {
  const { results } = await engine.commit(partition, [{ checks, writes: [] }]);
  return results[0]?.outcome;
};
export const claim = async (...args: Parameters<typeof want>): Promise<readonly Claim[]> =>
  (await engine.commit(partition, [], want(...args))).claims;
export const textOf = async (of: Key) => (await engine.get([of])).found[0]?.value ?? null;
export const stampOf = async (of: Key) => (await engine.get([of])).found[0]?.stamp ?? null;
export const lease = async (member: string) => {
  const value = await textOf(leaseKey(partition, member));
  return value === null ? null : (JSON.parse(value) as LeaseRecord);
};
export const rows = async (index: Key, query: Partial<RangeQuery> = {}) =>
  (await engine.range(index, { limit: 100, ...query })).rows;
export const members = async (index: Key, query: Partial<RangeQuery> = {}) =>
  (await rows(index, query)).map(({ member }) => member);
export const logOf = async (log: string) => (await engine.read(key(log), 0, 100)).map(({ value }) => value);
