import type { Engine, Key } from "#coordinator/engine/engine.ts";
import {
  agentKey,
  agentsIndex,
  countKey,
  type JournalRecord,
  outputLog,
  runKey,
  runsIndex,
  type TaskRecord,
  taskKey,
} from "#coordinator/records.ts";
import type { LogRecord } from "#coordinator/state/log-records.ts";
import { mailboxIndex } from "#coordinator/state/mailbox.ts";
import { readJournal } from "#coordinator/state/read-journal.ts";
import { type RunId, type TaskId, taskId } from "#shared/domain/ids.ts";
import type { Cluster } from "./cluster.ts";

export async function recordOf<T>(engine: Engine, key: Key): Promise<T | null> {
  return JSON.parse((await engine.get([key])).found[0]?.value ?? "null") as T | null;
}

export type TimedRecord = JournalRecord & { readonly atMs: number };

export const journalOf = async (engine: Engine, run: RunId): Promise<TimedRecord[]> =>
  (await readJournal(engine, run)).map(({ value, atMs }) => ({ atMs, ...(JSON.parse(value) as JournalRecord) }));

async function rowsOf(engine: Engine, index: Key): Promise<string[]> {
  const { rows } = await engine.range(index, { limit: 100_000 });
  return rows.map(({ member }) => member);
}

export async function allRuns({ room, partitions }: Cluster): Promise<RunId[]> {
  const runs = await Promise.all(partitions.map((partition) => rowsOf(room.base, runsIndex(partition))));
  return runs.flat() as RunId[];
}

/** A run's counters and mailbox, counted anew from its journal and records. */
export async function wrongCounts(engine: Engine, run: RunId, journal: readonly TimedRecord[]): Promise<string[]> {
  const wrong: string[] = [];
  const counts = { calls: 0, succeeded: 0, failed: 0, cancelled: 0, warnings: 0 };
  const signals = { come: journal.filter(({ e }) => e === "signal").length, taken: 0 };
  for (const entry of journal) {
    if (entry.e !== "called") continue;
    counts.calls += 1;
    const record = await recordOf<TaskRecord>(engine, taskKey(taskId(run, entry.key)));
    if (record && record.state in counts) counts[record.state as "failed"] += 1;
    counts.warnings += record?.checks.filter(({ result }) => result === "warn").length ?? 0;
    if (record?.kind === "signal" && record.state === "succeeded") signals.taken += 1;
  }
  for (const [what, count] of Object.entries(counts)) {
    const { found } = await engine.get([countKey(run, what as "calls")]);
    const counted = Number(found[0]?.value ?? 0);
    if (counted !== count) wrong.push(`${run} counts ${counted} ${what}, and has ${count}`);
  }
  const unread = (await rowsOf(engine, mailboxIndex(run))).length;
  if (unread !== signals.come - signals.taken) {
    wrong.push(`${run} keeps ${unread} signals, ${signals.come} came and ${signals.taken} were taken`);
  }
  return wrong;
}

/** Indexes that last, against the records of which they are the list. */
export async function wrongIndexes({ room, partitions }: Cluster): Promise<string[]> {
  const wrong: string[] = [];
  // A failover may have forgotten some.
  const { found } = await room.base.get([...room.written.records]);
  const there = found.flatMap(({ key, stamp }) => (stamp === null ? [] : [key]));
  const written = (prefix: string) => there.filter((key) => key.slice(key.indexOf("}") + 1).startsWith(prefix));
  const expected = new Map<Key, Set<string>>();
  for (const partition of partitions) {
    expected.set(runsIndex(partition), new Set());
    expected.set(agentsIndex(partition), new Set());
  }
  for (const partition of partitions) {
    for (const key of written("run/")) {
      const run = key.slice(key.indexOf("/") + 1) as RunId;
      if (key === runKey(run) && key.startsWith(`{${partition}}`)) expected.get(runsIndex(partition))?.add(run);
    }
    for (const key of written("agent/")) {
      const agent = key.slice(key.indexOf("/") + 1);
      if (key === agentKey(partition, agent)) expected.get(agentsIndex(partition))?.add(agent);
    }
  }
  for (const [index, members] of expected) {
    const has = await rowsOf(room.base, index);
    if (has.length !== members.size || has.some((member) => !members.has(member))) {
      wrong.push(`${index} lists ${has.length}, and there are ${members.size}`);
    }
  }
  return wrong;
}

/**
 * Of each attempt's output nothing is missing in the middle and nothing is there twice; that of one that succeeded is its
 * own. (Of one that its machine's end took with it, the notes of what was whose may be lost too.)
 */
export async function wrongOutput(engine: Engine, run: RunId, { key, attempts }: TaskRecord): Promise<string[]> {
  const task: TaskId = taskId(run, key);
  const ends = new Map<string, number>();
  const wrong: string[] = [];
  const last = attempts.at(-1);
  let own = "";
  for (const { value } of await engine.read(outputLog(task), 0, 100_000)) {
    const { fence, stream, offset, text = "", base64 } = JSON.parse(value) as LogRecord;
    const name = `${fence} ${stream}`;
    const end = ends.get(name) ?? 0;
    if (offset !== end) wrong.push(`${task}: output of ${name} goes on at ${offset} after ${end}`);
    ends.set(name, offset + (base64 === undefined ? Buffer.byteLength(text) : Buffer.from(base64, "base64").length));
    if (last?.outcome === "succeeded" && last.fence === fence && stream === "stdout") own += text;
  }
  for (const line of own.split("\n")) {
    if (line.startsWith("works on ") && line !== `works on ${task}`)
      wrong.push(`${task} has output of another: ${line}`);
  }
  return wrong;
}
