import type { DatabaseSync } from "node:sqlite";
import type { Partition } from "#shared/domain/ids.ts";
import {
  type Check,
  type Claim,
  type ClaimWant,
  type Key,
  leasesIndex,
  type Outcome,
  pausedCounter,
  type Write,
} from "../engine.ts";
import { nextFence, scoreAt } from "../engine-clock.ts";
import { HintSet } from "../hints.ts";
import { createIndexes } from "./indexes.ts";
import { createLeases, isLeasesIndex, memberOfLease } from "./leases.ts";
import { createLogs } from "./logs.ts";
import { createQueues, type MetQueues, mayBeQueue } from "./queues.ts";
import { createRecords } from "./records.ts";
import { takeMembers } from "./take-members.ts";

export type Tables = ReturnType<typeof createTables>;

export function createTables(db: DatabaseSync) {
  const indexes = createIndexes(db);
  return {
    records: createRecords(db),
    indexes,
    queues: createQueues(indexes),
    leases: createLeases(db),
    logs: createLogs(db),
  };
}

export interface CommitContext {
  readonly partition: Partition;
  readonly nowMs: number;
  /** Of the engine; grants count it up. */
  lastFence: number;
  /** To be hinted when the commit is durable. */
  readonly hints: HintSet;
  /** The ends of the logs that the batch met: their next append need not look. */
  readonly ends: Map<Key, number>;
  readonly queues: MetQueues;
  /** What counters have to be given before the commit ends: a batch adds to few of them, often. */
  readonly adds: Map<Key, number>;
}

export const commitContext = (of: Pick<CommitContext, "partition" | "nowMs" | "lastFence">): CommitContext => ({
  ...of,
  hints: new HintSet(),
  ends: new Map(),
  queues: new Map(),
  adds: new Map(),
});

/** A wrong stamp decides first: an unmet check of a decision that saw old records says nothing. */
export function checkAll(tables: Tables, context: CommitContext, checks: readonly Check[]): Outcome {
  let outcome: Outcome = "applied";
  for (const check of checks) {
    if (holds(tables, context, check)) continue;
    if (check.kind === "stamp") return "conflict";
    outcome = "unmet";
  }
  return outcome;
}

function holds(tables: Tables, context: CommitContext, check: Check): boolean {
  switch (check.kind) {
    case "stamp":
      return stampOf(tables, context, check.key) === check.stamp;
    case "fewer": {
      if (mayBeQueue(check.index)) tables.queues.writeMet(context);
      const table = isLeasesIndex(check.index) ? tables.leases : tables.indexes;
      if (table.fewer(check.index, check.than)) return true;
      return check.member !== undefined && table.has(check.index, check.member);
    }
    case "end":
      return endOf(tables, context, check.log) === check.position;
  }
}

function stampOf({ records, leases }: Tables, { partition, adds }: CommitContext, key: Key): string | null {
  const member = memberOfLease(key);
  if (member !== null) return leases.stamp(leasesIndex(partition), member);
  return adds.has(key) ? "counter" : records.stamp(key);
}

function endOf({ logs }: Tables, { ends }: CommitContext, log: Key): number {
  let end = ends.get(log);
  if (end === undefined) {
    end = logs.end(log);
    ends.set(log, end);
  }
  return end;
}

/** Answers the positions of what was appended. */
export function writeAll(tables: Tables, context: CommitContext, writes: readonly Write[]): number[] {
  const positions: number[] = [];
  for (const write of writes) {
    if (write.kind === "append") positions.push(append(tables, context, write.log, write.value));
    else apply(tables, context, write);
  }
  return positions;
}

function append(tables: Tables, context: CommitContext, log: Key, value: string): number {
  const position = endOf(tables, context, log) + 1;
  tables.logs.append(log, { position, atMs: context.nowMs, value });
  context.ends.set(log, position);
  return position;
}

function apply(tables: Tables, context: CommitContext, write: Exclude<Write, { kind: "append" }>): void {
  const { partition, nowMs } = context;
  switch (write.kind) {
    case "set":
      tables.records.set(write.key, write.stamp, write.value);
      break;
    case "delete":
      deleteKey(tables, context, write.key);
      break;
    case "rank":
      tables.indexes.set(write.index, write.member, scoreAt(write.score, nowMs), write.value ?? null);
      break;
    case "unrank":
      tables.indexes.delete(write.index, write.member);
      break;
    case "enqueue":
      tables.queues.enqueue(context, write.queue, { member: write.member, score: scoreAt(write.score, nowMs) });
      break;
    case "dequeue":
      tables.queues.dequeue(context, write.queue, write.member);
      break;
    case "hold":
      tables.leases.hold(leasesIndex(partition), {
        ...write,
        deadlineMs: leaseNowMs(tables, context) + write.forMs,
      });
      break;
    case "release":
      tables.leases.release(leasesIndex(partition), write.member);
      break;
    case "trim":
      tables.logs.trim(write.log, write.through);
      break;
    case "add":
      context.adds.set(write.counter, (context.adds.get(write.counter) ?? 0) + write.delta);
      break;
    case "signal":
      context.hints.add(write);
  }
}

function deleteKey({ records, leases, logs }: Tables, { partition, adds, ends }: CommitContext, key: Key): void {
  adds.delete(key);
  ends.delete(key);
  const member = memberOfLease(key);
  if (member !== null) {
    leases.delete(leasesIndex(partition), member);
    return;
  }
  records.delete(key);
  logs.delete(key);
}

/** Writes what the batch gathered in memory. */
export function writeGathered({ records, queues }: Tables, context: CommitContext): void {
  for (const [counter, delta] of context.adds) records.add(counter, delta);
  queues.writeMet(context);
}

/** Leases what the claim may take, each under a fence of its own. */
export function grantClaim(tables: Tables, context: CommitContext, claim: ClaimWant): Claim[] {
  const { partition, nowMs } = context;
  const taken = takeMembers(tables.queues, context, claim.wants);
  if (taken.length === 0) return [];
  const deadlineMs = leaseNowMs(tables, context) + claim.holdMs;
  return taken.map(({ queue, member, holder }) => {
    context.lastFence = nextFence(context.lastFence, nowMs);
    const fence = context.lastFence;
    tables.leases.grant(leasesIndex(partition), { member, fence, holder, queue, deadlineMs });
    return { queue, member, holder, fence };
  });
}

function leaseNowMs({ records }: Tables, { partition, nowMs, adds }: CommitContext): number {
  const paused = pausedCounter(partition);
  return nowMs - records.count(paused) - (adds.get(paused) ?? 0);
}
