import type { Partition, RunId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Clock } from "#shared/ports.ts";
import type { BlobStore } from "../blobs/blobs.ts";
import type { Engine } from "../engine/engine.ts";
import type { Mover } from "../engine/move.ts";
import type { KeptBlobs } from "../state/blob-records.ts";
import { endedIndex } from "../state/kept-records.ts";
import { type Ages, defaultAges } from "./ages.ts";
import { archiveLogs, dropLogs } from "./archive-logs.ts";
import { dueRows } from "./due-rows.ts";
import { forgetAgents } from "./forget-agents.ts";
import { markRun } from "./mark-run.ts";
import { removeReleases } from "./remove-releases.ts";
import { removeRun } from "./remove-run.ts";
import { sweepBlobs } from "./sweep-blobs.ts";
import { trimAudit } from "./trim-audit.ts";
import { trimEvents } from "./trim-events.ts";

export interface RetentionDeps {
  readonly engine: Engine;
  readonly mover: Mover;
  /** The store itself, whose blobs are deleted. */
  readonly store: BlobStore;
  readonly blobs: KeptBlobs;
  readonly clock: Clock;
  readonly partitions: readonly Partition[];
  /** Default: those of `limits`. */
  readonly ages?: Partial<Ages>;
}

/**
 * What leaves after its time (C9): indexes say when, and any coordinator looks, at any time. Each thing goes once, by a
 * commit that checks that it is still there to go, and so many of each kind go in one look.
 */
export interface Retention {
  /** One look at a partition; whether there may be more to do at once. */
  sweep(partition: Partition): Promise<boolean>;
  /** Goes on with the removal of a run that a look has marked. */
  removeRun(run: RunId): Promise<void>;
}

export const runsPerSweepMax = 100;

export function createRetention(deps: RetentionDeps): Retention {
  const ages: Ages = { ...defaultAges, ...deps.ages };
  const eventsMs = Math.max(ages.eventsMs, limits.keepEventsLeastMs);
  const blobSweep = { ...deps, blobs: deps.store, keepMs: Math.max(ages.blobsMs, limits.keepBlobsMs) };
  return {
    async sweep(partition) {
      const looks = [
        markRuns(deps, partition, ages.runsMs),
        archiveLogs(deps, partition),
        dropLogs(deps, partition, ages.logsMs),
        trimEvents(deps, partition, eventsMs),
        forgetAgents(deps, partition, ages.agentsMs),
        removeReleases(deps, partition, ages.releasesMs),
        trimAudit(deps, partition, ages.auditMs),
        sweepBlobs(blobSweep, partition),
      ];
      // One that fails keeps none of the others from its end.
      const done = await Promise.allSettled(looks);
      for (const look of done) if (look.status === "rejected") throw look.reason;
      return done.some((look) => look.status === "fulfilled" && look.value);
    },
    removeRun: (run) => removeRun(deps, run),
  };
}

async function markRuns(deps: RetentionDeps, partition: Partition, keepMs: number): Promise<boolean> {
  const due = { afterMs: keepMs, limit: runsPerSweepMax };
  const rows = await dueRows(deps.engine, endedIndex(partition), due);
  await Promise.all(rows.map(({ member }) => deps.mover.move(partition, markRun, { run: member as RunId, keepMs })));
  return rows.length === runsPerSweepMax;
}
