import { SaltError } from "#shared/domain/errors.ts";
import {
  derivedRunId,
  newRunId,
  type Partition,
  partitionAt,
  partitionFor,
  partitionOf,
  type RunId,
} from "#shared/domain/ids.ts";
import type { Clock, Random } from "#shared/ports.ts";
import type { Engine } from "../engine/engine.ts";
import type { Mover } from "../engine/move.ts";
import type { ReleaseRecord } from "../records.ts";
import type { OpenRun, OpenRunOutcome } from "../stages.ts";
import type { NewRun } from "../state/new-run.ts";
import { queueName, requirementOf, workflowOptions } from "../state/queues.ts";
import { openRun } from "./open-run.ts";

export interface RunsDeps {
  readonly engine: Engine;
  readonly mover: Mover;
  readonly clock: Clock;
  readonly random: Random;
  readonly partitions: number;
  readonly readCurrentRelease: (project: string) => Promise<ReleaseRecord | null>;
}

/** Opens a run of a project's current release. `UnknownWorkflow` when there is no such project or workflow. */
export async function openRunOf(deps: RunsDeps, request: OpenRun): Promise<OpenRunOutcome> {
  const release = await deps.readCurrentRelease(request.project);
  if (!release) {
    throw new SaltError("UnknownWorkflow", `Cannot open a run: no project '${request.project}' is registered.`, {
      next: "salt workflows list",
    });
  }
  const { description } = release.manifest;
  const type = description.workflows.find(({ name }) => name === request.workflow);
  if (!type) {
    const names = description.workflows.map(({ name }) => name).join(", ") || "none";
    throw new SaltError(
      "UnknownWorkflow",
      `Cannot open a run: project '${request.project}' has no workflow '${request.workflow}' (it has: ${names}).`,
      { next: `salt workflows list --project ${request.project}` },
    );
  }
  const id = runIdOf(deps, request);
  const options = workflowOptions(type);
  const run: NewRun = {
    id,
    project: request.project,
    release: release.id,
    workflow: request.workflow,
    queue: queueName(requirementOf("workflow", release.manifest, options)),
    options,
    input: request.input,
    seed: Buffer.from(deps.random.bytes(16)).toString("hex"),
    trigger: request.trigger,
    parent: null,
    previous: null,
    priority: request.priority ?? 0,
    identityDigest: request.identity?.digest ?? null,
    runTimeoutMs: type.runTimeoutMs ?? null,
    refs: [],
    waits: false,
  };
  return deps.mover.move(partitionOf(id), openRun, run);
}

/** C8: a run under an identity has an id that every repetition of the request arrives at. */
function runIdOf(deps: RunsDeps, { project, identity }: OpenRun): RunId {
  if (!identity) return newRunId(anyPartition(deps), deps.clock, deps.random);
  const parts = [project, identity.source, identity.key] as const;
  return derivedRunId(partitionFor(deps.partitions, ...parts), ...parts);
}

const anyPartition = (deps: RunsDeps): Partition => partitionAt(Math.floor(deps.random.float() * deps.partitions));
