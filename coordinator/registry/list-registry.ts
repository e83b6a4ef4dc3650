import type { ReleaseRow, ReleaseView, WorkflowRow, WorkflowView } from "#shared/protocol/api.ts";
import { projectsIndex, type ReleaseRecord, releasesIndex } from "../records.ts";
import { mergeRange } from "../state/merge-range.ts";
import { allPartitions, projectPartition } from "../state/projects.ts";
import { type ReadRegistryDeps, readCurrentRelease, readProject, readRelease, workflowOf } from "./read-release.ts";

interface Place {
  readonly score: number;
  readonly member: string;
}

export interface RegistryQuery {
  readonly project?: string | undefined;
  readonly limit: number;
  readonly after?: Place;
}

/**
 * Workflows of current releases, by project and name. A page holds whole projects: it ends with the project that fills
 * it.
 */
export async function listWorkflows(
  deps: ReadRegistryDeps,
  query: RegistryQuery,
): Promise<{ rows: readonly WorkflowRow[]; next: Place | null }> {
  if (query.project !== undefined) {
    const release = await readCurrentRelease(deps, query.project);
    return { rows: release ? workflowRows(release) : [], next: null };
  }
  const projects = await mergeRange(deps.engine, allPartitions(deps.partitions), projectsIndex, query);
  const rows: WorkflowRow[] = [];
  for (const { score, member } of projects) {
    const release = await readCurrentRelease(deps, member);
    if (release) rows.push(...workflowRows(release));
    if (rows.length >= query.limit) return { rows, next: { score, member } };
  }
  return { rows, next: placeAfter(projects, query.limit) };
}

/** Where a list goes on after a page of rows; null when the page was not full, so that nothing follows. */
function placeAfter(rows: readonly Place[], limit: number): Place | null {
  const last = rows.at(-1);
  return rows.length === limit && last ? { score: last.score, member: last.member } : null;
}

const workflowRows = (release: ReleaseRecord): WorkflowRow[] =>
  release.manifest.description.workflows.map(({ name, description }) => ({
    project: release.manifest.project,
    name,
    release: release.id,
    ...(description === undefined ? {} : { description }),
    registeredAtMs: release.createdAtMs,
  }));

export async function viewWorkflow(
  deps: ReadRegistryDeps,
  name: { readonly project: string; readonly workflow: string },
): Promise<WorkflowView | null> {
  const release = await readCurrentRelease(deps, name.project);
  const type = release && workflowOf(release, name.workflow);
  const row = release && workflowRows(release).find((candidate) => candidate.name === name.workflow);
  if (!release || !type || !row) return null;
  const { manifest } = release;
  return {
    ...row,
    input: type.input,
    output: type.output,
    ...(type.runTimeoutMs === undefined ? {} : { runTimeoutMs: type.runTimeoutMs }),
    tasks: manifest.description.tasks.map((task) => task.name),
    triggers: manifest.triggers.filter(({ workflow }) => workflow === type.name).map((trigger) => trigger.name),
  };
}

/** Releases, newest first: of one project, or of all, project by project. */
export async function listReleases(
  deps: ReadRegistryDeps,
  query: RegistryQuery,
): Promise<{ rows: readonly ReleaseRow[]; next: Place | null }> {
  const { project } = query;
  if (project !== undefined) return releasesOf(deps, project, query);
  const projects = await mergeRange(deps.engine, allPartitions(deps.partitions), projectsIndex, query);
  const rows: ReleaseRow[] = [];
  for (const { score, member } of projects) {
    rows.push(...(await releasesOf(deps, member, { limit: query.limit })).rows);
    if (rows.length >= query.limit) return { rows, next: { score, member } };
  }
  return { rows, next: placeAfter(projects, query.limit) };
}

async function releasesOf(
  deps: ReadRegistryDeps,
  project: string,
  query: { readonly limit: number; readonly after?: Place },
): Promise<{ rows: readonly ReleaseRow[]; next: Place | null }> {
  const partition = projectPartition(deps.partitions, project);
  const current = await readProject(deps, project);
  const { rows: found } = await deps.engine.range(releasesIndex(partition, project), { ...query, reverse: true });
  const releases = await Promise.all(found.map(({ member }) => readRelease(deps, member)));
  const rows = releases.flatMap((release) => (release ? [releaseRow(release, current?.release ?? null)] : []));
  return { rows, next: placeAfter(found, query.limit) };
}

const releaseRow = (release: ReleaseRecord, current: string | null): ReleaseRow => ({
  id: release.id,
  project: release.manifest.project,
  createdAtMs: release.createdAtMs,
  createdBy: release.createdBy,
  current: release.id === current,
  platforms: Object.keys(release.manifest.binaries),
  workflows: release.manifest.description.workflows.map(({ name }) => name),
});

export async function viewRelease(deps: ReadRegistryDeps, id: string): Promise<ReleaseView | null> {
  const release = await readRelease(deps, id);
  if (!release) return null;
  const project = await readProject(deps, release.manifest.project);
  const { createdAtMs, createdBy, manifest } = release;
  return { id, createdAtMs, createdBy, current: project?.release === id, manifest };
}
