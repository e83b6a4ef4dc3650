import { SaltError } from "#shared/domain/errors.ts";
import type { RunId } from "#shared/domain/ids.ts";
import type { Value } from "#shared/protocol/common.ts";
import type { BlobStore } from "../blobs/blobs.ts";
import type { Engine } from "../engine/engine.ts";
import type { Mover } from "../engine/move.ts";
import type { ReleaseRecord } from "../records.ts";
import type { OpenRun, Runs } from "../stages.ts";
import { projectPartition } from "../state/projects.ts";
import { storeValue } from "../state/store-value.ts";
import { type ProjectTriggers, type TriggerRecord, triggersKey } from "./trigger-records.ts";

/** What firing takes: the ports, and of the stages around it the registry's look-ups and the opening of runs. */
export interface FireDeps {
  readonly engine: Engine;
  readonly mover: Mover;
  readonly blobs: BlobStore;
  readonly partitions: number;
  readonly openRun: Runs["openRun"];
  readonly readCurrentRelease: (project: string) => Promise<ReleaseRecord | null>;
  readonly checkInput: (request: {
    readonly release: ReleaseRecord;
    readonly workflow: string;
    readonly input: unknown;
  }) => unknown;
}

export async function readTriggers(
  deps: Pick<FireDeps, "engine" | "partitions">,
  project: string,
): Promise<{ readonly nowMs: number; readonly record: ProjectTriggers | null }> {
  const { nowMs, found } = await deps.engine.get([triggersKey(projectPartition(deps.partitions, project), project)]);
  const value = found[0]?.value;
  return { nowMs, record: value === null || value === undefined ? null : (JSON.parse(value) as ProjectTriggers) };
}

export async function findTrigger(
  deps: Pick<FireDeps, "engine" | "partitions">,
  name: { readonly project: string; readonly trigger: string },
): Promise<{ readonly nowMs: number; readonly trigger: TriggerRecord | null }> {
  const { nowMs, record } = await readTriggers(deps, name.project);
  return { nowMs, trigger: record?.triggers.find((trigger) => trigger.name === name.trigger) ?? null };
}

export interface Firing {
  readonly project: string;
  readonly trigger: TriggerRecord;
  readonly by: OpenRun["trigger"];
  /** Undefined: what the trigger declares. `text` is the input as it was sent. */
  readonly input?: { readonly value: unknown; readonly text: string };
  readonly identity?: NonNullable<OpenRun["identity"]>;
}

/** Opens the run of a firing. `InvalidInput`, `UnknownWorkflow`, `IdempotencyKeyReused`. */
export async function startRun(deps: FireDeps, firing: Firing): Promise<{ run: RunId; created: boolean }> {
  const { project, trigger } = firing;
  const release = await deps.readCurrentRelease(project);
  if (!release) throw new SaltError("NotFound", `There is no project '${project}'.`);
  const declared = release.manifest.triggers.find(({ name }) => name === trigger.name)?.input;
  const input = firing.input ? firing.input.value : declared;
  const checked = deps.checkInput({ release, workflow: trigger.workflow, input });
  const text = firing.input ? firing.input.text : JSON.stringify(checked);
  const value: Value = await storeValue(deps, text);
  const outcome = await deps.openRun({
    project,
    workflow: trigger.workflow,
    input: value,
    trigger: firing.by,
    ...(firing.identity ? { identity: firing.identity } : {}),
  });
  if (outcome.kind === "reused") {
    throw new SaltError("IdempotencyKeyReused", "Cannot open the run: its id was used before with other content.", {
      details: { run: outcome.run },
    });
  }
  return { run: outcome.run, created: outcome.kind === "opened" };
}
