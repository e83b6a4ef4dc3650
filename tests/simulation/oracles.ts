import { type Engine, type Key, leasesIndex, queuesIndex } from "#coordinator/engine/engine.ts";
import {
  countKey,
  type JournalRecord,
  type RunRecord,
  runKey,
  runsIndex,
  type TaskRecord,
  taskKey,
} from "#coordinator/records.ts";
import { readJournal } from "#coordinator/state/read-journal.ts";
import { type CallKey, type Partition, type RunId, taskId, workflowKey } from "#shared/domain/ids.ts";
import { type Cluster, latestOf } from "./cluster.ts";
import { isRight, type Plan } from "./plan.ts";
import { type Tally, tallyKey } from "./tally.ts";

/** Indexes that hold something for as long as their owners are kept: each has a recount of its own, or is named here. */
const lasting =
  /^\{p\d+\}(runs|agents|projects|audit|releases\/.*|unread\/.*|mailbox\/.*|due|triggers.*|kept\/.*|owns\/.*)$/;

async function recordOf<T>(engine: Engine, key: Key): Promise<T | null> {
  return JSON.parse((await engine.get([key])).found[0]?.value ?? "null") as T | null;
}

export async function allRuns({ room, partitions }: Cluster): Promise<RunId[]> {
  const runs: RunId[] = [];
  for (const partition of partitions) {
    const { rows } = await room.base.range(runsIndex(partition), { limit: 100_000 });
    for (const { member } of rows) runs.push(member as RunId);
  }
  return runs;
}

/** What is still to be done, as lines; nothing is left once the cluster is at rest. */
export async function leftIn(cluster: Cluster): Promise<string[]> {
  const { room, partitions, clients, agents } = cluster;
  const left: string[] = [];
  if (clients.waiting > 0) left.push(`${clients.waiting} questions of clients`);
  for (const run of await allRuns(cluster)) {
    const record = await recordOf<RunRecord>(room.base, runKey(run));
    if (record?.endedAtMs === null) left.push(`open run ${run} (${record.state})`);
  }
  const indexes = new Set([...room.indexes, ...partitions.flatMap((one) => [leasesIndex(one), queuesIndex(one)])]);
  for (const index of indexes) {
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

const allowedFailures = new Set(["AgentLost", "WorkflowCrashLoop"]);

/** What is wrong with a cluster that has come to rest. */
export async function wrongIn(cluster: Cluster): Promise<string[]> {
  const wrong = [...cluster.broken, ...cluster.room.violations];
  const runs = await allRuns(cluster);
  for (const run of runs) wrong.push(...(await wrongInRun(cluster, run)));
  wrong.push(...(await wrongOutputs(cluster)), ...wrongExecutions(cluster, await settledAt(cluster, runs)));
  return wrong;
}

const journalOf = async (engine: Engine, run: RunId) =>
  (await readJournal(engine, run)).map(({ value, atMs }) => ({ atMs, ...(JSON.parse(value) as JournalRecord) }));

/** A run's journal against its records and counters. */
async function wrongInRun({ room: { base } }: Cluster, run: RunId): Promise<string[]> {
  const wrong: string[] = [];
  const journal = await journalOf(base, run);
  const keysOf = (e: "called" | "settled") => journal.flatMap((record) => (record.e === e ? [record.key] : []));
  const calls = keysOf("called");
  const ends = journal.flatMap((record, index) => (record.e === "ended" ? [index] : []));
  if (ends.length !== 1 || ends[0] !== journal.length - 1)
    wrong.push(`${run} does not end with its last entry: ${ends}`);
  for (const keys of [calls, keysOf("settled")]) {
    if (new Set(keys).size !== keys.length) wrong.push(`${run} journals a call twice: ${keys}`);
  }
  const counts = { succeeded: 0, failed: 0, cancelled: 0 };
  for (const key of calls) {
    const record = await recordOf<TaskRecord>(base, taskKey(taskId(run, key)));
    if (!record || !(record.state in counts)) {
      wrong.push(`${run} ${key} has not ended: ${record?.state}`);
      continue;
    }
    counts[record.state as "failed"] += 1;
    const settled = journal.find((entry) => entry.e === "settled" && entry.key === key);
    const outcomes = record.state === "failed" ? ["failed", "timedOut"] : [record.state];
    if (settled?.e === "settled" && !outcomes.includes(settled.outcome)) {
      wrong.push(`${run} ${key} is ${record.state}, and ${settled.outcome} in the journal`);
    }
  }
  for (const [what, count] of Object.entries({ calls: calls.length, ...counts })) {
    const { found } = await base.get([countKey(run, what as "calls")]);
    const counted = Number(found[0]?.value ?? 0);
    if (counted !== count) wrong.push(`${run} counts ${counted} ${what}, and has ${count}`);
  }
  return wrong;
}

/** What clients were promised: each run that was opened has ended, with the right output or an allowed failure. */
async function wrongOutputs(cluster: Cluster): Promise<string[]> {
  const wrong: string[] = [];
  const { asked, retried } = cluster.clients;
  for (const { run, plan, key, signals, cancelAcknowledged, cancelAsked } of asked) {
    if (run === null) {
      wrong.push(`${key} was never opened`);
      continue;
    }
    wrong.push(...(await wrongOutput(cluster, run, plan, cancelAsked)));
    for (const { run: of, id } of signals) {
      const journal = await journalOf(cluster.room.base, of);
      if (!journal.some((entry) => entry.e === "signal" && entry.id === id)) wrong.push(`${of}: signal ${id} is lost`);
    }
    const journal = await journalOf(cluster.room.base, run);
    if (cancelAcknowledged && !journal.some(({ e }) => e === "cancel")) wrong.push(`${run}: its cancel is lost`);
  }
  const tally = await recordOf<Tally>(cluster.room.base, tallyKey(cluster.partitions[0] as Partition));
  for (const mark of cluster.clients.marked) if (!tally?.marks.includes(mark)) wrong.push(`mark ${mark} is lost`);
  for (const { run, of } of retried) wrong.push(...(await wrongOutput(cluster, run, of.plan, false)));
  return wrong;
}

async function wrongOutput(
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

/** When each task was settled, in virtual time as the engine counts it, and under which fence. */
async function settledAt(cluster: Cluster, runs: readonly RunId[]): Promise<Map<string, TaskRecord>> {
  const records = new Map<string, TaskRecord>();
  for (const run of runs) {
    const keys = (await journalOf(cluster.room.base, run)).flatMap((entry) =>
      entry.e === "called" ? [entry.key] : [],
    );
    for (const key of [...keys, workflowKey as CallKey]) {
      const record = await recordOf<TaskRecord>(cluster.room.base, taskKey(taskId(run, key)));
      if (record) records.set(taskId(run, key), record);
    }
  }
  return records;
}

/** No attempt is executed twice, and what was settled is not granted and executed again. */
function wrongExecutions({ world, room }: Cluster, tasks: ReadonlyMap<string, TaskRecord>): string[] {
  const wrong: string[] = [];
  const seen = new Set<string>();
  for (const { task, fence } of world.executions) {
    const name = `${task} under fence ${fence}`;
    if (seen.has(name)) wrong.push(`${name} was executed twice`);
    seen.add(name);
    if (!room.grants.get(task)?.some((grant) => grant.fence === fence))
      wrong.push(`${name} was executed and never granted`);
    const record = tasks.get(task);
    const last = record?.attempts.at(-1);
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
