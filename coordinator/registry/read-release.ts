import { LRUCache } from "lru-cache";
import type { TaskType, WorkflowType } from "#shared/protocol/manifest.ts";
import type { Engine } from "../engine/engine.ts";
import { type ProjectRecord, projectKey, type ReleaseRecord, releaseKey } from "../records.ts";
import { allPartitions, projectPartition } from "../state/projects.ts";

export interface ReadRegistryDeps {
  readonly engine: Engine;
  readonly partitions: number;
  readonly releaseCache: ReleaseCache;
}

/** Releases lately read, by id: they never change. */
export type ReleaseCache = LRUCache<string, ReleaseRecord>;
const releasesCachedMax = 200;
export const createReleaseCache = (): ReleaseCache => new LRUCache({ max: releasesCachedMax });

/** The project as it is now, or null. */
export async function readProject(
  deps: Pick<ReadRegistryDeps, "engine" | "partitions">,
  name: string,
): Promise<ProjectRecord | null> {
  const { found } = await deps.engine.get([projectKey(projectPartition(deps.partitions, name), name)]);
  const value = found[0]?.value;
  return value === null || value === undefined ? null : (JSON.parse(value) as ProjectRecord);
}

/** A release by its id, or null. Which project's it is, and so its partition, is not in the id: all are asked. */
export async function readRelease(deps: ReadRegistryDeps, id: string): Promise<ReleaseRecord | null> {
  const cached = deps.releaseCache.get(id);
  if (cached) return cached;
  const { found } = await deps.engine.get(allPartitions(deps.partitions).map((partition) => releaseKey(partition, id)));
  const value = found.find((record) => record.value !== null)?.value;
  if (value === null || value === undefined) return null;
  const release = JSON.parse(value) as ReleaseRecord;
  deps.releaseCache.set(id, release);
  return release;
}

/** The release that new runs of a project use, or null. */
export async function readCurrentRelease(deps: ReadRegistryDeps, project: string): Promise<ReleaseRecord | null> {
  const record = await readProject(deps, project);
  return record && readRelease(deps, record.release);
}

/** A task type of the project's current release; null when there is no such project or type. */
export async function resolveTaskType(
  deps: ReadRegistryDeps,
  name: { readonly project: string; readonly task: string },
): Promise<{ readonly release: ReleaseRecord; readonly type: TaskType } | null> {
  const release = await readCurrentRelease(deps, name.project);
  const type = release?.manifest.description.tasks.find((task) => task.name === name.task);
  return release && type ? { release, type } : null;
}

export const workflowOf = (release: ReleaseRecord, workflow: string): WorkflowType | null =>
  release.manifest.description.workflows.find(({ name }) => name === workflow) ?? null;
