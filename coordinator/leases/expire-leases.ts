import type { Partition, TaskId } from "#shared/domain/ids.ts";
import { type Engine, keyIn, leaseKey, leasesIndex, pausedCounter } from "../engine/engine.ts";
import { type Move, type Mover, writing } from "../engine/move.ts";
import { giveBack } from "./give-back.ts";

/**
 * C13: leases end by the partition's lease clock, which stands still while no coordinator watches. Each sweep stamps
 * `watch`; a gap above `watchGapMs` is added to the clock's pause before anything is taken to have expired.
 */
export interface SweepDeps {
  readonly engine: Engine;
  readonly mover: Mover;
}

const watchGapMs = 6_000;
/** What another coordinator stamped so lately need not be stamped again. */
const watchedLatelyMs = 1_000;
/** Leases that one sweep ends; the next goes on. */
const expiredPerSweepMax = 200;

interface WatchRecord {
  readonly watchedAtMs: number;
}

const watchKey = (partition: Partition) => keyIn(partition, "watch");

const stampWatch: Move<Partition, void> = {
  name: "stampWatch",
  fresh: true,
  reads: (partition) => [watchKey(partition)],
  decide(view, partition) {
    const watch = view.get<WatchRecord>(watchKey(partition));
    const gapMs = watch ? Math.round(view.nowMs - watch.watchedAtMs) : 0;
    if (watch && gapMs < watchedLatelyMs) return { transactions: [], answer: () => undefined };
    const record: WatchRecord = { watchedAtMs: Math.round(view.nowMs) };
    const set = { kind: "set", key: watchKey(partition), value: record } as const;
    const pause = { kind: "add", counter: pausedCounter(partition), delta: gapMs } as const;
    return gapMs > watchGapMs ? writing(set, pause) : writing(set);
  },
};

/** Returns how many leases it ended. */
export async function expireLeases(deps: SweepDeps, partition: Partition): Promise<number> {
  await deps.mover.move(partition, stampWatch, partition);
  const { nowMs, found } = await deps.engine.get([pausedCounter(partition)]);
  const pausedMs = Number(found[0]?.value ?? 0);
  const leaseNowMs = nowMs - pausedMs;
  const { rows } = await deps.engine.range(leasesIndex(partition), { to: leaseNowMs, limit: expiredPerSweepMax });
  if (rows.length === 0) return 0;
  const leases = await deps.engine.get(rows.map((row) => leaseKey(partition, row.member)));
  const ends = leases.found.map((lease, index) =>
    deps.mover.move(partition, giveBack, {
      task: rows[index]?.member as TaskId,
      fence: Number(lease.stamp),
      why: "expired",
      lateMs: leaseNowMs - (rows[index]?.score ?? leaseNowMs),
    }),
  );
  await Promise.all(ends);
  return ends.length;
}
