import { type CallKey, partitionOf, type RunId, taskId } from "#shared/domain/ids.ts";
import type { TaskStatus } from "#shared/domain/states.ts";
import type { TaskView } from "#shared/protocol/api.ts";
import { type Engine, type LeaseRecord, leaseKey } from "../engine/engine.ts";
import type { ProgressBoard, Said } from "../progress.ts";
import { type TaskRecord, taskKey } from "../records.ts";
import type { FleetView } from "./fleet-view.ts";
import { isHeld, parseFound, progressView } from "./views.ts";
import { waitsOf } from "./waits.ts";

export interface ViewTasksDeps {
  readonly engine: Engine;
  readonly progress: ProgressBoard;
  readonly fleet: FleetView;
}

interface TaskFound {
  readonly record: TaskRecord;
  readonly lease: LeaseRecord | null;
  readonly said: Said | null;
}

/** Views of a run's tasks in the order asked; unknown ones are left out. */
export async function viewTasks(
  deps: ViewTasksDeps,
  run: RunId,
  keys: readonly CallKey[],
): Promise<readonly TaskView[]> {
  if (keys.length === 0) return [];
  const ids = keys.map((key) => taskId(run, key));
  const { found } = await deps.engine.get(ids.flatMap((id) => [taskKey(id), leaseKey(partitionOf(run), id)]));
  const tasks = ids.flatMap((id, index): TaskFound[] => {
    const record = parseFound<TaskRecord>(found[2 * index]);
    const lease = found[2 * index + 1];
    const said = deps.progress.of(id, Number(lease?.stamp));
    return record ? [{ record, lease: parseFound<LeaseRecord>(lease), said }] : [];
  });
  const names = await deps.fleet.namesOf(tasks.flatMap(agentsOf));
  return await Promise.all(
    tasks.map(async (task) =>
      taskView(task, names, await waitsOf(deps, task.record, (task.lease?.holder ?? "") !== "")),
    ),
  );
}

/** A holder is a session of an agent: `<agent>:<n>`. */
const holderOf = ({ record, lease }: TaskFound): string | null =>
  record.state === "ready" && isHeld(lease) ? (lease?.holder.replace(/:\d+$/, "") ?? null) : null;

function agentsOf(task: TaskFound): string[] {
  const holder = holderOf(task);
  return [...(holder === null ? [] : [holder]), ...task.record.attempts.map(({ agent }) => agent)];
}

function taskView(task: TaskFound, names: ReadonlyMap<string, string>, waits: string | null): TaskView {
  const { record, said } = task;
  const holder = holderOf(task);
  const last = record.attempts.at(-1);
  const agent = holder ?? last?.agent ?? null;
  const status: TaskStatus = holder === null ? record.state : "running";
  return {
    key: record.key,
    kind: record.kind,
    name: record.name,
    project: record.project,
    release: record.release,
    status,
    waits,
    attempt: record.attemptsEnded + (holder === null ? 0 : 1),
    agent,
    agentName: names.get(agent ?? "") ?? null,
    createdAtMs: record.createdAtMs,
    readyAtMs: record.readyAtMs,
    startedAtMs: last ? Math.round(last.endedAtMs - last.ranMs) : null,
    endedAtMs: record.endedAtMs,
    refs: [...record.refs],
    ...(record.manyRefs ? { manyRefs: record.manyRefs.blob } : {}),
    checks: [...record.checks],
    failure: record.failure,
    attempts: record.attempts.map(({ attempt, agent, outcome, ranMs, endedAtMs, failure }) => ({
      attempt,
      agent,
      agentName: names.get(agent) ?? null,
      outcome,
      ranMs,
      endedAtMs,
      failure,
    })),
    output: record.output,
    child: record.child,
    progress: holder !== null && said ? progressView(said) : null,
  };
}
