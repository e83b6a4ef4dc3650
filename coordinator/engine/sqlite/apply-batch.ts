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
  type Score,
  type Write,
} from "../engine.ts";
import { nextFence } from "../engine-clock.ts";
import { createIndexes } from "./indexes.ts";
import { createLeases, isLeasesIndex, memberOfLease } from "./leases.ts";
import { createLogs } from "./logs.ts";
import { createQueues } from "./queues.ts";
import { createRecords } from "./records.ts";

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
  readonly topics: Set<string>;
}

/** A wrong stamp decides first: an unmet check of a decision that saw old records says nothing. */
export function checkAll(tables: Tables, checks: readonly Check[]): Outcome {
  let outcome: Outcome = "applied";
  for (const check of checks) {
    if (holds(tables, check)) continue;
    if (check.kind === "stamp") return "conflict";
    outcome = "unmet";
  }
  return outcome;
}

function holds({ records, indexes, leases, logs }: Tables, check: Check): boolean {
  switch (check.kind) {
    case "stamp": {
      const member = memberOfLease(check.key);
      const stamp = member === null ? records.stamp(check.key) : leases.find(check.key, member).stamp;
      return stamp === check.stamp;
    }
    case "fewer": {
      const table = isLeasesIndex(check.index) ? leases : indexes;
      if (table.fewer(check.index, check.than)) return true;
      return check.member !== undefined && table.has(check.index, check.member);
    }
    case "end":
      return logs.end(check.log) === check.position;
  }
}

/** Answers the positions of what was appended. */
export function writeAll(tables: Tables, context: CommitContext, writes: readonly Write[]): number[] {
  const positions: number[] = [];
  for (const write of writes) {
    if (write.kind === "append") positions.push(tables.logs.append(write.log, context.nowMs, write.value));
    else apply(tables, context, write);
  }
  return positions;
}

function apply(tables: Tables, context: CommitContext, write: Exclude<Write, { kind: "append" }>): void {
  const { partition, nowMs } = context;
  switch (write.kind) {
    case "set":
      tables.records.set(write.key, write.stamp, write.value);
      break;
    case "delete":
      deleteRecord(tables, partition, write.key);
      break;
    case "rank":
      tables.indexes.set(write.index, write.member, scoreAt(write.score, nowMs), write.value ?? null);
      break;
    case "unrank":
      tables.indexes.delete(write.index, write.member);
      break;
    case "enqueue":
      tables.queues.enqueue(partition, write.queue, {
        member: write.member,
        score: scoreAt(write.score, nowMs),
        nowMs,
      });
      break;
    case "dequeue":
      tables.queues.dequeue(partition, write.queue, write.member);
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
    case "add":
      tables.records.add(write.counter, write.delta);
      break;
    case "signal":
      context.topics.add(write.topic);
  }
}

function deleteRecord({ records, leases }: Tables, partition: Partition, key: Key): void {
  const member = memberOfLease(key);
  if (member === null) records.delete(key);
  else leases.delete(leasesIndex(partition), member);
}

/** Takes from the queues for each want in turn. */
export function grantClaim(tables: Tables, context: CommitContext, claim: ClaimWant): Claim[] {
  const { partition, nowMs } = context;
  const index = leasesIndex(partition);
  const claims: Claim[] = [];
  let deadlineMs: number | null = null;
  for (const { holder, queues, take } of claim.wants) {
    for (const { queue, member } of tables.queues.take(partition, queues, take)) {
      deadlineMs ??= leaseNowMs(tables, context) + claim.holdMs;
      context.lastFence = nextFence(context.lastFence, nowMs);
      const fence = context.lastFence;
      tables.leases.grant(index, { member, fence, holder, queue, deadlineMs });
      claims.push({ queue, member, holder, fence });
    }
  }
  return claims;
}

const leaseNowMs = ({ records }: Tables, { partition, nowMs }: CommitContext): number =>
  nowMs - records.count(pausedCounter(partition));

const scoreAt = (score: Score, nowMs: number): number => ("at" in score ? score.at : nowMs + score.nowPlusMs);
