import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Claim,
  type ClaimWant,
  type Engine,
  keyIn,
  leaseKey,
  type Transaction,
} from "#coordinator/engine/engine.ts";
import { createSqliteEngine } from "#coordinator/engine/sqlite/sqlite-engine.ts";
import { partitionAt } from "#shared/domain/ids.ts";
import { systemClock } from "#shared/system.ts";

export interface EngineSqliteBench {
  /** Transactions a second in commits of 100, as under load. */
  readonly movesPerSecond: number;
  /** Transactions a second in commits of one, as when idle: bounded by the disk's flush. */
  readonly singleMovesPerSecond: number;
  /** CPU, user and system, of publishing, granting and settling one task, in commits of 100. */
  readonly cpuMicrosPerTask: number;
  /** Of one commit of 100 transactions. */
  readonly commitP50Ms: number;
  readonly commitP99Ms: number;
}

const partition = partitionAt(0);
const run = "run_0001k3v9q8zc7x5b2m4n6p8r0stv";
const queue = '["default","linux-x64",{},{}]';
/** About what a task's record and a journal entry take. */
const record = JSON.stringify({ run, input: { json: "x".repeat(100) }, options: "x".repeat(500) });
const entry = JSON.stringify({ e: "called", digest: "0".repeat(64), name: "score", kind: "task" });

/** The work of the sqlite engine for a fan-out of small tasks, on a file in the temporary folder. */
export async function benchEngineSqlite(tasks = 20_000): Promise<EngineSqliteBench> {
  const folder = await mkdtemp(join(tmpdir(), "salt-bench-"));
  const engine = createSqliteEngine({ file: join(folder, "salt.db"), clock: systemClock });
  try {
    await passTasks(engine, { prefix: "warm", tasks: 2_000, perCommit: 50 });
    const cpu = process.cpuUsage();
    const grouped = await passTasks(engine, { prefix: "grouped", tasks, perCommit: 50 });
    const { user, system } = process.cpuUsage(cpu);
    const single = await passTasks(engine, { prefix: "single", tasks: Math.ceil(tasks / 10), perCommit: 1 });
    return {
      movesPerSecond: Math.round((2 * tasks) / grouped.seconds),
      singleMovesPerSecond: Math.round((2 * Math.ceil(tasks / 10)) / single.seconds),
      cpuMicrosPerTask: (user + system) / tasks,
      commitP50Ms: quantile(grouped.commitMs, 0.5),
      commitP99Ms: quantile(grouped.commitMs, 0.99),
    };
  } finally {
    await engine.close();
    await rm(folder, { recursive: true });
  }
}

interface Load {
  readonly prefix: string;
  readonly tasks: number;
  readonly perCommit: number;
}

/** Each commit settles what the one before granted, publishes as many anew and grants them. */
async function passTasks(engine: Engine, load: Load): Promise<{ seconds: number; commitMs: number[] }> {
  const commitMs: number[] = [];
  const claim: ClaimWant = { holdMs: 5_000, wants: [{ holder: "agt_1/7", queues: [queue], take: load.perCommit }] };
  const startMs = performance.now();
  let granted: readonly Claim[] = [];
  let published = 0;
  do {
    const settling = granted.map(({ member, fence }) => settle(member, fence));
    const count = Math.min(load.perCommit, load.tasks - published);
    const publishing = Array.from({ length: count }, (_, n) => publish(`${run}/${load.prefix}#${published + n}`));
    published += count;
    const commits =
      load.perCommit === 1 ? [...settling, ...publishing].map((move) => [move]) : [[...settling, ...publishing]];
    granted = [];
    for (const batch of commits) {
      const beginMs = performance.now();
      const { results, claims } = await engine.commit(partition, batch, claim);
      commitMs.push(performance.now() - beginMs);
      if (results.some(({ outcome }) => outcome !== "applied")) throw new Error("A move of the benchmark was refused.");
      granted = claims;
    }
  } while (granted.length > 0);
  return { seconds: (performance.now() - startMs) / 1000, commitMs };
}

let stamps = 0;
const stamp = () => `b7f3/${++stamps}`;
const taskKey = (task: string) => keyIn(partition, `task/${task}`);
const stampsOfTasks = new Map<string, string>();

function publish(task: string): Transaction {
  const written = stamp();
  stampsOfTasks.set(task, written);
  return {
    checks: [{ kind: "stamp", key: taskKey(task), stamp: null }],
    writes: [
      { kind: "set", key: taskKey(task), stamp: written, value: record },
      { kind: "append", log: keyIn(partition, `journal/${run}`), value: entry },
      { kind: "rank", index: keyIn(partition, `tasks/${run}`), member: task, score: { nowPlusMs: 0 } },
      { kind: "enqueue", queue, member: task, score: { nowPlusMs: 0 } },
      { kind: "add", counter: keyIn(partition, `counts/${run}/ready`), delta: 1 },
    ],
  };
}

function settle(task: string, fence: number): Transaction {
  return {
    checks: [
      { kind: "stamp", key: taskKey(task), stamp: stampsOfTasks.get(task) ?? null },
      { kind: "stamp", key: leaseKey(partition, task), stamp: String(fence) },
    ],
    writes: [
      { kind: "set", key: taskKey(task), stamp: stamp(), value: record },
      { kind: "append", log: keyIn(partition, `journal/${run}`), value: entry },
      { kind: "release", member: task },
      { kind: "add", counter: keyIn(partition, `counts/${run}/ready`), delta: -1 },
      { kind: "add", counter: keyIn(partition, `counts/${run}/succeeded`), delta: 1 },
    ],
  };
}

function quantile(samples: readonly number[], part: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}
