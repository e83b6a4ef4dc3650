import { type CallKey, partitionOf, type RunId, runOfTask, type TaskId, taskId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { isTerminalTask } from "#shared/domain/states.ts";
import type { Lease } from "#shared/protocol/agent.ts";
import type { Platform, Value } from "#shared/protocol/common.ts";
import type { GroupMover } from "../engine/mover.ts";
import { type ReleaseRecord, type RunRecord, runKey, type TaskRecord, taskKey } from "../records.ts";
import { isEverything, isSettled } from "../state/final-records.ts";

export interface MakeLeaseDeps {
  readonly mover: GroupMover;
  readonly readRelease: (id: string) => Promise<ReleaseRecord | null>;
}

export type MadeLease =
  | { readonly kind: "lease"; readonly lease: Lease }
  /** The task ended meanwhile. */
  | { readonly kind: "ended" }
  /** There is nothing to execute for this agent. */
  | { readonly kind: "unavailable"; readonly why: string };

/** All that an agent needs for one attempt. */
export async function makeLease(
  deps: MakeLeaseDeps,
  grant: { readonly task: TaskId; readonly fence: number; readonly platform: string },
): Promise<MadeLease> {
  const run = runOfTask(grant.task);
  const partition = partitionOf(run);
  // What a lease says of its task was fixed when it was called, but for the number of the attempt, which people are shown.
  const [task] = await deps.mover.read<TaskRecord>(partition, [taskKey(grant.task)], isEverything);
  if (!task || isTerminalTask(task.state)) return { kind: "ended" };
  const release = await deps.readRelease(task.release);
  const binary = release?.manifest.binaries[grant.platform as Platform];
  if (!binary) return { kind: "unavailable", why: `release ${task.release} has no binary for ${grant.platform}` };
  const record = task.kind === "workflow" ? await readRun(deps, run) : null;
  const refs = await readRefs(deps, task, record?.parent?.run ?? run);
  return {
    kind: "lease",
    lease: {
      task: grant.task,
      fence: grant.fence,
      kind: task.kind === "workflow" ? "workflow" : "task",
      project: task.project,
      release: task.release,
      binary: binary.sha256,
      binaryBytes: binary.bytes,
      name: task.name,
      attempt: task.attemptsEnded + 1,
      input: task.input,
      ...(refs ? { refs } : {}),
      process: task.options.process ?? "warm",
      attemptTimeoutMs: task.options.attemptTimeoutMs ?? limits.attemptTimeoutMs,
      ...(record ? { seed: record.seed, openedAtMs: record.createdAtMs } : {}),
    },
  };
}

async function readRun(deps: MakeLeaseDeps, run: RunId): Promise<RunRecord | null> {
  const [record] = await deps.mover.read<RunRecord>(partitionOf(run), [runKey(run)], isEverything);
  return record ?? null;
}

/** Outputs of the calls that the input refers to; all have succeeded, or the task would not be ready. */
async function readRefs(deps: MakeLeaseDeps, task: TaskRecord, run: RunId): Promise<Record<string, Value> | null> {
  if (task.refs.length === 0) return null;
  const keys = task.refs.map((ref: CallKey) => taskKey(taskId(run, ref)));
  const given = await deps.mover.read<TaskRecord>(partitionOf(run), keys, isSettled);
  return Object.fromEntries(task.refs.map((ref, index) => [ref, given[index]?.output ?? { json: "null" }]));
}
