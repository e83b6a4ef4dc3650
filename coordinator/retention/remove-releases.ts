import type { Partition } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Engine } from "../engine/engine.ts";
import { at, type Move, type Mover, writing } from "../engine/move.ts";
import { type ProjectRecord, projectKey, type ReleaseRecord, releaseKey, releasesIndex } from "../records.ts";
import { auditWrite } from "../state/audit.ts";
import { digestsOfRelease, letGo } from "../state/blob-refs.ts";
import { supersededIndex, usersIndex } from "../state/kept-records.ts";
import { dueRows } from "./due-rows.ts";

/**
 * Removes releases that another took the place of long ago, that are not among a project's newest, and that no run
 * needs: none is there that is of them or calls their tasks. Their binaries then leave like other blobs.
 */
export interface RemoveReleasesDeps {
  readonly engine: Engine;
  readonly mover: Mover;
  readonly partitions: readonly Partition[];
}

export const releasesPerSweepMax = 50;
/** A release that has to stay is looked at again so long after. */
const lookAgainMs = 24 * 3600_000;
/** The least age: whoever read that it is a project's release has by then opened the run. */
const keepMsMin = 3600_000;

interface OldRelease {
  readonly partition: Partition;
  readonly project: string;
  readonly id: string;
  readonly keepMs: number;
}

/** Whether there may be more to do at once. */
export async function removeReleases(deps: RemoveReleasesDeps, partition: Partition, keep: number): Promise<boolean> {
  const keepMs = Math.max(keep, keepMsMin);
  const due = { afterMs: keepMs, limit: releasesPerSweepMax };
  const rows = await dueRows(deps.engine, supersededIndex(partition), due);
  for (const { member: id, value } of rows) {
    const old = { partition, project: value ?? "", id, keepMs };
    await deps.mover.move(partition, (await isNeeded(deps, old)) ? lookLater : removeRelease, old);
  }
  return rows.length === releasesPerSweepMax;
}

async function isNeeded(deps: RemoveReleasesDeps, { partition, project, id }: OldRelease): Promise<boolean> {
  const newest = { limit: limits.keepReleasesNewest, reverse: true };
  const { rows } = await deps.engine.range(releasesIndex(partition, project), newest);
  if (rows.some(({ member }) => member === id)) return true;
  const users = await Promise.all(
    deps.partitions.map((other) => deps.engine.range(usersIndex(other, id), { limit: 1 })),
  );
  return users.some((found) => found.rows.length > 0);
}

const lookLater: Move<OldRelease, void> = {
  name: "keepRelease",
  fresh: true,
  reads: ({ partition, project }) => [projectKey(partition, project)],
  decide(view, { partition, project, id, keepMs }) {
    const index = supersededIndex(partition);
    const isCurrent = view.get<ProjectRecord>(projectKey(partition, project))?.release === id;
    const score = at(Math.round(view.nowMs) - keepMs + lookAgainMs);
    const rank = { kind: "rank", index, member: id, score, value: project } as const;
    return writing(isCurrent ? { kind: "unrank", index, member: id } : rank);
  },
};

const removeRelease: Move<OldRelease, void> = {
  name: "removeRelease",
  fresh: true,
  frees: true,
  reads: ({ partition, project, id }) => [projectKey(partition, project), releaseKey(partition, id)],
  decide(view, { partition, project, id }) {
    const unranked = { kind: "unrank", index: supersededIndex(partition), member: id } as const;
    const release = view.get<ReleaseRecord>(releaseKey(partition, id));
    const isCurrent = view.get<ProjectRecord>(projectKey(partition, project))?.release === id;
    if (!release || isCurrent) return writing(unranked);
    return writing(
      unranked,
      { kind: "delete", key: releaseKey(partition, id) },
      { kind: "unrank", index: releasesIndex(partition, project), member: id },
      ...letGo(partition, id, digestsOfRelease(release.manifest)),
      auditWrite(partition, { actor: "retention", action: "release.remove", object: `${project}/${id}` }),
    );
  },
};
