import { partitionOf, runOfTask } from "#shared/domain/ids.ts";
import type { AttemptName } from "#shared/protocol/agent.ts";
import { leaseKey } from "../engine/engine.ts";
import type { DraftWrite, Move } from "../engine/move.ts";
import type { HeldLeases } from "../stages.ts";
import { epochOf, isVoid } from "../state/void-leases.ts";

export interface HoldLeases {
  readonly leases: readonly AttemptName[];
  readonly forMs: number;
  /** What the leases say from now on. Default: as before. */
  readonly state?: "accepted" | "running";
  /** Who holds them from now on (a later session of the same agent). Default: as before. */
  readonly holder?: string;
}

/**
 * Accepts, renews or takes over leases: each whose fence is still the newest and which has not ended. A lease past its
 * deadline that nobody swept yet is held again, but for one of an older epoch (C16): its attempt may have seen what was
 * forgotten since. At most `leasesPerMoveMax` a move, all of one partition.
 */
export const holdLeases: Move<HoldLeases, HeldLeases> = {
  name: "holdLeases",
  // Which leases are still held is said by their values, which change under the same stamp.
  fresh: true,
  reads: ({ leases }) => [
    ...leases.map(({ task }) => leaseKey(partitionOf(runOfTask(task)), task)),
    ...leases.slice(0, 1).map(({ task }) => epochOf(task)),
  ],
  decide(view, { leases, forMs, state, holder }) {
    const held: AttemptName[] = [];
    const stale: AttemptName[] = [];
    const writes: DraftWrite[] = [];
    for (const lease of leases) {
      const key = leaseKey(partitionOf(runOfTask(lease.task)), lease.task);
      const record = view.get<{ holder: string }>(key);
      if (!record || view.stamp(key) !== String(lease.fence) || record.holder === "" || isVoid(view, lease)) {
        stale.push(lease);
        continue;
      }
      held.push(lease);
      writes.push({
        kind: "hold",
        member: lease.task,
        forMs,
        ...(state ? { state } : {}),
        ...(holder ? { holder } : {}),
      });
    }
    return { transactions: writes.length > 0 ? [{ checks: [], writes }] : [], answer: () => ({ held, stale }) };
  },
};
