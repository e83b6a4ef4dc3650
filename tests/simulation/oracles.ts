import { type RunRecord, runKey, type TaskRecord, taskKey } from "#coordinator/records.ts";
import { type CallKey, type Partition, type RunId, taskId, workflowKey } from "#shared/domain/ids.ts";
import { type Cluster, latestOf } from "./cluster.ts";
import { isRight, type Plan } from "./plan.ts";
import { allRuns, journalOf, recordOf, wrongCounts, wrongIndexes, wrongOutput } from "./recount.ts";
import { type Tally, tallyKey } from "./tally.ts";

/**
 * Indexes that hold something for as long as their owners are kept. All others are empty when nothing is left to do: who
 * makes an index that lasts names it here, and counts it anew in `recount.ts`.
 */
const lasting = /^\{p\d+\}(runs|agents|projects|audit|releases\/.*|unread\/.*|mailbox\/.*|kept\/.*|owns\/.*)$/;

/** What is still to be done, as lines; nothing is left once the cluster is at rest. */
export async function leftIn(cluster: Cluster): Promise<string[]> {
  const { room, clients, agents } = cluster;
  const left: string[] = [];
  if (clients.waiting > 0) left.push(`${clients.waiting} questions of clients`);
  for (const run of await allRuns(cluster)) {
    const record = await recordOf<RunRecord>(room.base, runKey(run));
    if (record?.endedAtMs === null) left.push(`open run ${run} (${record.state})`);
  }
  for (const index of room.written.indexes) {
    if (lasting.test(index)) continue;
    const { rows } = await room.base.range(index, { limit: 20 });
    for (const { member } of rows) left.push(`${index}: ${member}`);
  }
  for (const { machine, gone } of agents) {
    if (gone) continue;
    for (const file of machine.disk.list(`/${machine.name}/outbox`)) left.push(`${machine.name} outbox: ${file}`);
  }
  return left;
}

/** Failures that a run may end with: what it met so often that it was given up, as it is documented. */
const allowedFailures = new Set(["AgentLost", "WorkflowCrashLoop"]);

/** What is wrong with a cluster that has come to rest. */
export async function wrongIn(cluster: Cluster): Promise<string[]> {
  const wrong = [...cluster.broken, ...cluster.room.violations, ...(await wrongIndexes(cluster))];
  const tasks = new Map<string, TaskRecord>();
  for (const run of await allRuns(cluster)) wrong.push(...(await wrongInRun(cluster, run, tasks)));
  // A failover forgets what was acknowledged, and with it what had been settled.
  if (cluster.room.failovers > 0) return [...wrong, ...(await wrongOfKept(cluster))];
  wrong.push(...(await wrongOutcomes(cluster)), ...wrongExecutions(cluster, tasks), ...cluster.room.slots.violations);
  return wrong;
}

/** A run's journal against its records and counters; what it has of tasks is added to `tasks`. */
async function wrongInRun({ room: { base } }: Cluster, run: RunId, tasks: Map<string, TaskRecord>): Promise<string[]> {
  const journal = await journalOf(base, run);
  const wrong = await wrongCounts(base, run, journal);
  const keysOf = (e: "called" | "settled") => journal.flatMap((record) => (record.e === e ? [record.key] : []));
  const ends = journal.flatMap((record, index) => (record.e === "ended" ? [index] : []));
  if (ends.length !== 1 || ends[0] !== journal.length - 1)
    wrong.push(`${run} does not end with its last entry: ${ends}`);
  for (const keys of [keysOf("called"), keysOf("settled")]) {
    if (new Set(keys).size !== keys.length) wrong.push(`${run} journals a call twice: ${keys}`);
  }
  for (const key of [...keysOf("called"), workflowKey as CallKey]) {
    const record = await recordOf<TaskRecord>(base, taskKey(taskId(run, key)));
    if (!record || !["succeeded", "failed", "cancelled"].includes(record.state)) {
      wrong.push(`${run} ${key} has not ended: ${record?.state}`);
      continue;
    }
    tasks.set(taskId(run, key), record);
    wrong.push(...(await wrongOutput(base, run, record)));
    const settled = journal.find((entry) => entry.e === "settled" && entry.key === key);
    const outcomes = record.state === "failed" ? ["failed", "timedOut"] : [record.state];
    if (settled?.e === "settled" && !outcomes.includes(settled.outcome)) {
      wrong.push(`${run} ${key} is ${record.state}, and ${settled.outcome} in the journal`);
    }
  }
  return wrong;
}

/** What clients were promised: each run that was opened has ended, with the right output or an allowed failure. */
async function wrongOutcomes(cluster: Cluster): Promise<string[]> {
  const wrong: string[] = [];
  const { asked, retried, marked } = cluster.clients;
  const { base } = cluster.room;
  for (const { run, plan, key, signals, cancelAcknowledged, cancelAsked } of asked) {
    if (run === null) {
      wrong.push(`${key} was never opened`);
      continue;
    }
    wrong.push(...(await wrongOutcome(cluster, run, plan, cancelAsked)));
    for (const { run: of, id } of signals) {
      const journal = await journalOf(base, of);
      if (!journal.some((entry) => entry.e === "signal" && entry.id === id)) wrong.push(`${of}: signal ${id} is lost`);
    }
    const journal = await journalOf(base, run);
    if (cancelAcknowledged && !journal.some(({ e }) => e === "cancel")) wrong.push(`${run}: its cancel is lost`);
  }
  for (const { run, of } of retried) wrong.push(...(await wrongOutcome(cluster, run, of.plan, false)));
  const tally = await recordOf<Tally>(base, tallyKey(cluster.partitions[0] as Partition));
  for (const mark of marked) if (!tally?.marks.includes(mark)) wrong.push(`mark ${mark} is lost`);
  return wrong;
}

/** Of the runs that a failover has left: each ends as it should. */
async function wrongOfKept(cluster: Cluster): Promise<string[]> {
  const wrong: string[] = [];
  for (const { run, plan } of cluster.clients.asked) {
    const isKept = run !== null && (await recordOf<RunRecord>(cluster.room.base, runKey(run))) !== null;
    if (isKept) wrong.push(...(await wrongOutcome(cluster, run, plan, true)));
  }
  return wrong;
}

async function wrongOutcome(
  { room, blobs }: Cluster,
  asked: RunId,
  plan: Plan,
  mayBeCancelled: boolean,
): Promise<string[]> {
  const run = await latestOf(room.base, asked);
  const record = await recordOf<RunRecord>(room.base, runKey(run));
  if (!record) return [`${run} does not exist`];
  if (record.state === "succeeded" && record.output) {
    const text = "json" in record.output ? record.output.json : (blobs.get(record.output.blob) ?? "null");
    return isRight(plan, JSON.parse(text)) ? [] : [`${run} has the wrong output ${text} for ${JSON.stringify(plan)}`];
  }
  if (record.state === "cancelled" && mayBeCancelled) return [];
  const types: string[] = [];
  for (let failure = record.failure; failure; failure = failure.cause ?? null) types.push(failure.type);
  if (types.some((type) => allowedFailures.has(type))) return [];
  return [`${run} is ${record.state}: ${JSON.stringify(record.failure)} for ${JSON.stringify(plan)}`];
}

/** No attempt is executed twice or without a grant, and what was settled is not executed again. */
function wrongExecutions({ world, room }: Cluster, tasks: ReadonlyMap<string, TaskRecord>): string[] {
  const wrong: string[] = [];
  const seen = new Set<string>();
  for (const { task, fence } of world.executions) {
    const name = `${task} under fence ${fence}`;
    if (seen.has(name)) wrong.push(`${name} was executed twice`);
    seen.add(name);
    if (!room.grants.get(task)?.some((grant) => grant.fence === fence)) wrong.push(`${name} was never granted`);
    const last = tasks.get(task)?.attempts.at(-1);
    if (last?.outcome === "succeeded" && fence > last.fence) {
      wrong.push(`${name} was executed although ${last.fence} had settled it`);
    }
  }
  for (const [task, { attempts }] of tasks) {
    const newest = room.grants.get(task)?.at(-1)?.fence;
    const last = attempts.at(-1);
    // Of what a retried run took over there is no grant.
    if (last?.outcome === "succeeded" && newest !== undefined && newest !== last.fence) {
      wrong.push(`${task} was settled under ${last.fence}, and its newest fence is ${newest}`);
    }
  }
  return wrong;
}
