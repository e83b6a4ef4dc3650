import { assert } from "#shared/domain/assert.ts";
import type { Claim, ClaimWant, Committed, Outcome, Transaction } from "../engine.ts";

const outcomes: Readonly<Record<string, Outcome>> = { a: "applied", c: "conflict", u: "unmet", s: "skipped" };

/** The commit script's reply: see its header. */
export function decodeCommit(
  reply: readonly (string | number)[],
  batch: readonly Transaction[],
  claim: ClaimWant | undefined,
): Committed {
  const [nowMs, letters, count] = [Number(reply[0]), String(reply[1]), Number(reply[2])];
  let at = 3;
  const results = batch.map(({ writes }, index) => {
    const outcome = outcomes[letters[index] ?? ""];
    assert(outcome !== undefined, "a commit answers for each of its transactions");
    const positions: number[] = [];
    if (outcome === "applied") {
      for (const write of writes) if (write.kind === "append") positions.push(Number(reply[at++]));
    }
    return { outcome, positions };
  });
  assert(at === 3 + count, "a commit answers a position for each append");
  return { nowMs, results, claims: claim === undefined ? [] : claimsFrom(reply, at, claim) };
}

function claimsFrom(reply: readonly (string | number)[], from: number, { wants }: ClaimWant): Claim[] {
  const queues = [...new Set(wants.flatMap((want) => want.queues))];
  const claims: Claim[] = [];
  for (let at = from; at < reply.length; at += 4) {
    const want = wants[Number(reply[at]) - 1];
    const queue = queues[Number(reply[at + 1]) - 1];
    assert(want !== undefined && queue !== undefined, "a grant is of a queue that was asked for");
    claims.push({ queue, member: String(reply[at + 2]), holder: want.holder, fence: Number(reply[at + 3]) });
  }
  return claims;
}
