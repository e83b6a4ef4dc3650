import type { RegisteredRelease, ReleaseRow, ReleaseView, WorkflowRow, WorkflowView } from "#shared/protocol/api.ts";
import type { TaskType } from "#shared/protocol/manifest.ts";
import type { BlobStore } from "../blobs/blobs.ts";
import type { Engine } from "../engine/engine.ts";
import type { Mover } from "../engine/move.ts";
import type { ProjectRecord, ReleaseRecord } from "../records.ts";
import { checkInput, createSchemaCache } from "./check-input.ts";
import { listReleases, listWorkflows, type RegistryQuery, viewRelease, viewWorkflow } from "./list-registry.ts";
import { createReleaseCache, readCurrentRelease, readProject, readRelease, resolveTaskType } from "./read-release.ts";
import { registerRelease, type TriggerPlanner } from "./register-release.ts";

export interface RegistryDeps {
  readonly engine: Engine;
  readonly mover: Mover;
  readonly blobs: BlobStore;
  readonly partitions: number;
  readonly triggers: TriggerPlanner;
}

type Place = NonNullable<RegistryQuery["after"]>;

export interface Registry {
  registerRelease(request: { readonly manifest: unknown; readonly by: string }): Promise<RegisteredRelease>;
  readProject(name: string): Promise<ProjectRecord | null>;
  readRelease(id: string): Promise<ReleaseRecord | null>;
  readCurrentRelease(project: string): Promise<ReleaseRecord | null>;
  resolveTaskType(name: {
    readonly project: string;
    readonly task: string;
  }): Promise<{ readonly release: ReleaseRecord; readonly type: TaskType } | null>;
  checkInput(request: { readonly release: ReleaseRecord; readonly workflow: string; readonly input: unknown }): unknown;
  listWorkflows(query: RegistryQuery): Promise<{ rows: readonly WorkflowRow[]; next: Place | null }>;
  viewWorkflow(name: { readonly project: string; readonly workflow: string }): Promise<WorkflowView | null>;
  listReleases(query: RegistryQuery): Promise<{ rows: readonly ReleaseRow[]; next: Place | null }>;
  viewRelease(id: string): Promise<ReleaseView | null>;
}

/** Releases and what is in them, with the caches that this takes. */
export function createRegistry(given: RegistryDeps): Registry {
  const deps = { ...given, releaseCache: createReleaseCache(), schemaCache: createSchemaCache() };
  return {
    registerRelease: (request) => registerRelease(deps, request),
    readProject: (name) => readProject(deps, name),
    readRelease: (id) => readRelease(deps, id),
    readCurrentRelease: (project) => readCurrentRelease(deps, project),
    resolveTaskType: (name) => resolveTaskType(deps, name),
    checkInput: (request) => checkInput(deps, request),
    listWorkflows: (query) => listWorkflows(deps, query),
    viewWorkflow: (name) => viewWorkflow(deps, name),
    listReleases: (query) => listReleases(deps, query),
    viewRelease: (id) => viewRelease(deps, id),
  };
}
