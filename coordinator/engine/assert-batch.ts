import { assert } from "#shared/domain/assert.ts";
import type { Partition } from "#shared/domain/ids.ts";
import type { Check, ClaimWant, Key, Score, Transaction, Write } from "./engine.ts";

/**
 * What every engine asks of a batch before it touches anything. A batch that fails here is a mistake of the code above
 * the port, which no database would report in the same way: on Redis, a key of another partition is in another slot.
 */
export function assertBatch(partition: Partition, batch: readonly Transaction[], claim: ClaimWant | undefined): void {
  const tag = `{${partition}}`;
  batch.forEach((transaction, index) => {
    for (const check of transaction.checks) assertIn(tag, keyOfCheck(check));
    for (const write of transaction.writes) assertWrite(tag, write);
    for (const earlier of transaction.after ?? []) {
      assert(Number.isInteger(earlier) && earlier >= 0 && earlier < index, "`after` names earlier transactions only");
    }
  });
  if (claim === undefined) return;
  assertDuration(claim.holdMs);
  for (const want of claim.wants) {
    assert(want.holder !== "", "a holder has a name");
    assert(Number.isInteger(want.take) && want.take >= 0, "a claim takes a whole number of members");
  }
}

const keyOfCheck = (check: Check): Key =>
  check.kind === "stamp" ? check.key : check.kind === "fewer" ? check.index : check.log;

function assertWrite(tag: string, write: Write): void {
  switch (write.kind) {
    case "set":
      assertIn(tag, write.key);
      assert(!write.key.startsWith("lease/", tag.length), "leases are written by claims, holds and releases only");
      break;
    case "delete":
      assertIn(tag, write.key);
      break;
    case "rank":
      assertIndex(tag, write.index);
      assertScore(write.score);
      break;
    case "unrank":
      assertIndex(tag, write.index);
      break;
    case "enqueue":
      assertScore(write.score);
      break;
    case "hold":
      assert(write.holder !== "", "a holder has a name");
      assertDuration(write.forMs);
      break;
    case "append":
      assertIn(tag, write.log);
      break;
    case "trim":
      assertIn(tag, write.log);
      assert(Number.isSafeInteger(write.through) && write.through >= 0, "a log is trimmed through a position");
      break;
    case "add":
      assertIn(tag, write.counter);
      assert(Number.isSafeInteger(write.delta), "a counter counts whole numbers");
      break;
    case "dequeue":
    case "release":
    case "signal":
  }
}

function assertIndex(tag: string, index: Key): void {
  assertIn(tag, index);
  const name = index.slice(tag.length);
  const kept = name === "leases" || name === "queues" || name.startsWith("queue/");
  assert(!kept, "queues and leases are ranked by the engine only");
}

function assertScore(score: Score): void {
  assert(Number.isFinite("at" in score ? score.at : score.nowPlusMs), "a score is a finite number");
}

function assertIn(tag: string, key: Key): void {
  if (!key.startsWith(tag)) assert(false, `a batch touches one partition only: ${tag} and not ${key}`);
}

function assertDuration(ms: number): void {
  assert(Number.isFinite(ms) && ms >= 0, "a duration is a number of milliseconds");
}

/** Nothing is read without a bound. */
export function assertLimit(limit: number): void {
  assert(Number.isSafeInteger(limit) && limit >= 0, "a limit is a whole number");
}
