import { partitionOf, type RunId, taskId, workflowKey } from "#shared/domain/ids.ts";
import type { RunStatus } from "#shared/domain/states.ts";
import type { AgentView, ProgressView, RunView } from "#shared/protocol/api.ts";
import { type Engine, type Found, type Key, keyIn, type LeaseRecord, leaseKey } from "../engine/engine.ts";
import type { Said } from "../progress.ts";
import { type AgentRecord, countKey, type RunRecord, runKey } from "../records.ts";

/** What people are shown, made from records. Whether something runs is said by its lease alone. */
const counted = ["calls", "succeeded", "failed", "cancelled"] as const;

const keysOfRun = (run: RunId): Key[] => [
  runKey(run),
  leaseKey(partitionOf(run), taskId(run, workflowKey)),
  ...counted.map((what) => countKey(run, what)),
  warningsKey(run),
];

/** Checks that gave "warn", counted by settlements. */
const warningsKey = (run: RunId): Key => keyIn(partitionOf(run), `count/${run}/warnings`);

export const parseFound = <Value>(found: Found | undefined): Value | null =>
  found?.value === null || found?.value === undefined ? null : (JSON.parse(found.value) as Value);

/** Views of runs in the order asked; one read for all. Unknown ones are left out. */
export async function viewRuns(engine: Engine, runs: readonly RunId[]): Promise<readonly RunView[]> {
  if (runs.length === 0) return [];
  const { found } = await engine.get(runs.flatMap(keysOfRun));
  const size = 3 + counted.length;
  return runs.flatMap((_, index) => {
    const [run, lease, ...counts] = found.slice(index * size, (index + 1) * size);
    const record = parseFound<RunRecord>(run);
    if (!record) return [];
    const [calls = 0, succeeded = 0, failed = 0, cancelled = 0, warnings = 0] = counts.map(({ value }) =>
      Number(value ?? 0),
    );
    return [runView(record, parseFound<LeaseRecord>(lease), { calls, succeeded, failed, cancelled }, warnings)];
  });
}

function runView(record: RunRecord, lease: LeaseRecord | null, counts: RunView["counts"], warnings: number): RunView {
  const { id, project, workflow, release, trigger, priority, createdAtMs, endedAtMs } = record;
  const { input, output, failure, parent, cancel, next, previous } = record;
  return {
    id,
    project,
    workflow,
    release,
    status: runStatus(record, lease, counts.calls),
    trigger,
    priority,
    createdAtMs,
    endedAtMs,
    input,
    output,
    failure,
    parent,
    cancel,
    next,
    previous,
    counts,
    warnings,
  };
}

/** A granted lease may still be refused. */
export const isHeld = (lease: LeaseRecord | null): boolean =>
  lease !== null && lease.holder !== "" && lease.state !== "granted";

/** A run that has made calls is running, also while its workflow task waits in a queue between two turns. */
function runStatus(record: RunRecord, lease: LeaseRecord | null, calls: number): RunStatus {
  if (record.state !== "open") return record.state;
  if (record.parked !== null) return "parked";
  return isHeld(lease) || calls > 0 ? "running" : "queued";
}

export const progressView = ({ fraction, message, atMs }: Said): ProgressView => ({ fraction, message, atMs });

export const agentView = (record: AgentRecord): AgentView => ({
  id: record.id,
  name: record.name,
  pool: record.pool,
  platform: record.platform,
  version: record.version,
  labels: { ...record.labels },
  ...(record.pythons ? { pythons: [...record.pythons] } : {}),
  capacity: record.capacity,
  connected: record.connected,
  seenAtMs: record.seenAtMs,
});
