import type { Failure } from "#shared/domain/errors.ts";
import { derivedRunId, partitionOf, sha256 } from "#shared/domain/ids.ts";
import type { Call } from "#shared/protocol/common.ts";
import type { TaskType } from "#shared/protocol/manifest.ts";
import type { ReleaseRecord, RunRecord } from "../records.ts";
import { queueName, requirementOf, workflowOptions } from "../state/queues.ts";
import type { PublishCalls, Resolved } from "./publish-calls.ts";

export interface ResolveDeps {
  readonly readRelease: (id: string) => Promise<ReleaseRecord | null>;
  readonly readCurrentRelease: (project: string) => Promise<ReleaseRecord | null>;
}

/** Looks up what calls name: in the run's own release, or in the current release of the project that is named. */
export async function resolveCalls(
  deps: ResolveDeps,
  run: RunRecord,
  calls: readonly Call[],
): Promise<PublishCalls["calls"]> {
  const releases = new Map<string, ReleaseRecord | null>();
  const resolved: { call: Call; resolved: Resolved }[] = [];
  for (const call of calls) {
    if (call.kind !== "task" && call.kind !== "workflow") {
      resolved.push({ call, resolved: { kind: "local" } });
      continue;
    }
    const slash = call.name.indexOf("/");
    const project = slash < 0 ? run.project : call.name.slice(0, slash);
    const own = project === run.project;
    let release = releases.get(project);
    if (release === undefined) {
      release = await (own ? deps.readRelease(run.release) : deps.readCurrentRelease(project));
      releases.set(project, release);
    }
    resolved.push({ call, resolved: resolveCall(run, call, release, call.name.slice(slash + 1)) });
  }
  return resolved;
}

type NamedCall = Extract<Call, { kind: "task" | "workflow" }>;

function resolveCall(run: RunRecord, call: NamedCall, release: ReleaseRecord | null, name: string): Resolved {
  if (!release) return { kind: "unknown", failure: unknown(call, `no project of that name is registered`) };
  return call.kind === "task" ? resolveTask(call, release, name) : resolveChild(run, call, release, name);
}

const unknown = (call: NamedCall, why: string): Failure => ({
  type: call.kind === "task" ? "UnknownTaskType" : "UnknownWorkflow",
  message: `Cannot call '${call.name}': ${why}.`,
  retryable: false,
});

const listed = (names: readonly { name: string }[]): string => names.map(({ name }) => name).join(", ") || "none";

function resolveTask(call: Extract<Call, { kind: "task" }>, release: ReleaseRecord, name: string): Resolved {
  const { project, description } = release.manifest;
  const type = description.tasks.find((task) => task.name === name);
  if (!type) {
    return {
      kind: "unknown",
      failure: unknown(call, `release ${release.id} of '${project}' has the task types ${listed(description.tasks)}`),
    };
  }
  const options = mergeOptions(type, call);
  const queue = queueName(requirementOf("task", release.manifest, options));
  return { kind: "task", project, release: release.id, name, queue, options };
}

/** What the task type declares, with what the call overrides. */
function mergeOptions(type: TaskType, call: Extract<Call, { kind: "task" }>): TaskType["options"] {
  if (!call.options) return type.options;
  const retry =
    type.options.retry || call.options.retry ? { retry: { ...type.options.retry, ...call.options.retry } } : {};
  return { ...type.options, ...call.options, ...retry };
}

function resolveChild(run: RunRecord, call: NamedCall, release: ReleaseRecord, name: string): Resolved {
  const { project, description } = release.manifest;
  const type = description.workflows.find((workflow) => workflow.name === name);
  if (!type) {
    return {
      kind: "unknown",
      failure: unknown(
        call,
        `release ${release.id} of '${project}' has the workflows ${listed(description.workflows)}`,
      ),
    };
  }
  const options = workflowOptions(type);
  const partition = partitionOf(run.id);
  return {
    kind: "child",
    run: {
      id: derivedRunId(partition, "child", run.id, call.key),
      project,
      release: release.id,
      workflow: name,
      queue: queueName(requirementOf("workflow", release.manifest, options)),
      options,
      input: call.input,
      seed: sha256(`${run.seed}/${call.key}`),
      previous: null,
      priority: run.priority,
      identityDigest: null,
      runTimeoutMs: type.runTimeoutMs ?? null,
    },
  };
}
