import { expect, test } from "vitest";
import { type CallKey, partitionAt, runOfTask, type TaskId, taskId } from "#shared/domain/ids.ts";
import { epochKey, type Key, leaseKey } from "../engine/engine.ts";
import type { View } from "../engine/move.ts";
import { holdLeases } from "./hold-leases.ts";

const partition = partitionAt(0);
const run = runOfTask(`run_00${"0".repeat(26)}/x` as TaskId);
const task = taskId(run, "count#1" as CallKey);

const viewOf = (records: ReadonlyMap<Key, { stamp: string; value: object }>): View => {
  const looks: Pick<View, "get" | "stamp"> = {
    get: <T>(key: Key) => (records.get(key)?.value ?? null) as T | null,
    stamp: (key) => records.get(key)?.stamp ?? null,
  };
  return looks as View;
};

test("C16 a lease of an older epoch is void: it is stale to who would renew it, though nobody has been granted it anew", () => {
  const lease = { stamp: "7000", value: { holder: "agt_1:1", state: "running", queue: "q" } };
  const held = (epochFence: number | null, fence = 7_000) => {
    const records = new Map<Key, { stamp: string; value: object }>([[leaseKey(partition, task), lease]]);
    if (epochFence !== null) {
      records.set(epochKey(partition), { stamp: "epoch.1", value: { epoch: 1, fence: epochFence } });
    }
    const { transactions, answer } = holdLeases.decide(viewOf(records), { leases: [{ task, fence }], forMs: 30_000 });
    const answered = answer({ nowMs: 1_000, positions: [], applied: [true] });
    return { held: answered.held.length, stale: answered.stale.length, transactions: transactions.length };
  };
  expect(held(null)).toEqual({ held: 1, stale: 0, transactions: 1 });
  expect(held(7_000)).toEqual({ held: 1, stale: 0, transactions: 1 });
  expect(held(7_001)).toEqual({ held: 0, stale: 1, transactions: 0 });
  expect(holdLeases.reads({ leases: [{ task, fence: 1 }], forMs: 1 })).toContain(epochKey(partition));
});
