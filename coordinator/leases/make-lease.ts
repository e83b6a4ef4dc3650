import { type CallKey, partitionOf, type RunId, runOfTask, sha256, type TaskId, taskId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { isTerminalTask } from "#shared/domain/states.ts";
import type { Clock } from "#shared/ports.ts";
import type { Lease } from "#shared/protocol/agent.ts";
import type { Platform, Value } from "#shared/protocol/common.ts";
import type { BlobStore } from "../blobs/blobs.ts";
import { type EpochRecord, epochKey } from "../engine/engine.ts";
import type { GroupMover } from "../engine/mover.ts";
import {
  type ParkedBy,
  type RefList,
  type ReleaseRecord,
  type RunRecord,
  runKey,
  type TaskRecord,
  taskKey,
} from "../records.ts";
import { isEverything, isSettled } from "../state/final-records.ts";
import { readRefList } from "../state/ref-list.ts";

export interface MakeLeaseDeps {
  readonly mover: GroupMover;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly readRelease: (id: string) => Promise<ReleaseRecord | null>;
  readonly leaseTtlMs: number;
}

export type MadeLease =
  | { readonly kind: "lease"; readonly lease: Lease; readonly parkedBy: ParkedBy | null }
  /** The task ended meanwhile. */
  | { readonly kind: "ended" }
  /** An attempt that was forgotten may still be going on. */
  | { readonly kind: "early" }
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
  if (task.options.onLeaseLost === "stop" && (await isEarly(deps, grant))) return { kind: "early" };
  const release = await deps.readRelease(task.release);
  const binary = release?.manifest.binaries[grant.platform as Platform];
  if (!binary) return { kind: "unavailable", why: `release ${task.release} has no binary for ${grant.platform}` };
  const record = task.kind === "workflow" ? await readRun(deps, run) : null;
  const refs = await readRefs(deps, task);
  if ("why" in refs) return { kind: "unavailable", why: refs.why };
  return {
    kind: "lease",
    parkedBy: task.parkedBy ?? null,
    lease: {
      task: grant.task,
      fence: grant.fence,
      kind: task.kind === "workflow" ? "workflow" : "task",
      project: task.project,
      release: task.release,
      binary: binary.sha256,
      binaryBytes: binary.bytes,
      ...(binary.python ? { python: binary.python.requires } : {}),
      name: task.name,
      attempt: task.attemptsEnded + 1,
      input: task.input,
      ...refs,
      process: task.options.process ?? "warm",
      attemptTimeoutMs: task.options.attemptTimeoutMs ?? limits.attemptTimeoutMs,
      ...(task.options.onLeaseLost === "stop" ? { onLeaseLost: "stop" } : {}),
      ...(record ? { seed: record.seed, openedAtMs: record.createdAtMs } : {}),
    },
  };
}

/**
 * C16: whom a task was granted to before a failover may be forgotten; by its own clock such an attempt has ended, at the
 * latest, a time to live after. Fences are microseconds.
 */
async function isEarly({ mover, leaseTtlMs }: MakeLeaseDeps, grant: { task: TaskId; fence: number }): Promise<boolean> {
  const partition = partitionOf(runOfTask(grant.task));
  const [epoch] = await mover.read<EpochRecord>(partition, [epochKey(partition)], () => false);
  return (
    epoch !== null && epoch !== undefined && grant.fence - epoch.fence < (leaseTtlMs + limits.leaseLostMarginMs) * 1_000
  );
}

async function readRun(deps: MakeLeaseDeps, run: RunId): Promise<RunRecord | null> {
  const [record] = await deps.mover.read<RunRecord>(partitionOf(run), [runKey(run)], isEverything);
  return record ?? null;
}

type Refs = Pick<Lease, "refs" | "manyRefs">;

/** Outputs of the calls that the input refers to; all have succeeded, or the task would not be ready. */
async function readRefs(deps: MakeLeaseDeps, task: TaskRecord): Promise<Refs | { why: string }> {
  const run = task.refsRun ?? task.run;
  if (task.manyRefs) return gatherRefs(deps, run, task.manyRefs);
  if (task.refs.length === 0) return {};
  const refs: Record<string, Value> = {};
  for (const [ref, output] of await readOutputs(deps, run, task.refs)) {
    if (!output) return { why: gone(ref) };
    refs[ref] = output;
  }
  return { refs };
}

const gone = (ref: CallKey): string => `'${ref}', which its input refers to, has no output`;

async function readOutputs(
  { mover }: MakeLeaseDeps,
  run: RunId,
  refs: readonly CallKey[],
): Promise<(readonly [CallKey, Value | null])[]> {
  const keys = refs.map((ref) => taskKey(taskId(run, ref)));
  const given = await mover.read<TaskRecord>(partitionOf(run), keys, isSettled);
  return refs.map((ref, index) => {
    const task = given[index];
    // A pause has no output, and is over.
    return [ref, task?.state === "succeeded" ? (task.output ?? { json: "null" }) : null];
  });
}

/** Refs that are looked up before others get their turn. */
const refsPerTurn = 500;

/** C22: the outputs of many refs as one blob, the same for each attempt. */
async function gatherRefs(deps: MakeLeaseDeps, run: RunId, list: RefList): Promise<Refs | { why: string }> {
  const read = await readRefList(deps.blobs, list);
  if (read.kind === "bad") return { why: read.why };
  const texts: string[] = [];
  let blobs = 0;
  for (let from = 0; from < read.keys.length; from += refsPerTurn) {
    for (const [ref, output] of await readOutputs(deps, run, read.keys.slice(from, from + refsPerTurn))) {
      if (!output) return { why: gone(ref) };
      if ("blob" in output) blobs += 1;
      texts.push(`${JSON.stringify(ref)}:${JSON.stringify(output)}`);
    }
    await new Promise<void>((resolve) => deps.clock.soon(resolve));
  }
  const text = Buffer.from(`{${texts.join(",")}}`);
  const blob = sha256(text);
  await deps.blobs.put(blob, text, limits.refsBytesMax);
  return { manyRefs: { blob, bytes: text.length, blobs } };
}
