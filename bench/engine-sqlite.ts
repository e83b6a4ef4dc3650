import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { Claim, ClaimWant, Engine } from "#coordinator/engine/engine.ts";
import { createSqliteEngine } from "#coordinator/engine/sqlite/sqlite-engine.ts";
import { systemClock } from "#shared/system.ts";
import { type BenchDeps, type Measured, using } from "./bench.ts";
import { partition, publish, queue, settle, taskName } from "./engine-moves.ts";
import { RawSqlite } from "./raw-sqlite.ts";
import { type Row, rowOf, type Unit } from "./rows.ts";
import { throwIfStopped } from "./server-process.ts";
import { quantile } from "./statistics.ts";

/** Tasks that are published and settled: two moves each. */
export interface Load {
  /** Of its own for each load: it is part of the tasks' names. */
  readonly name: string;
  readonly tasks: number;
  /** So many are published and as many settled by one commit; 1: each move has a commit of its own. */
  readonly perCommit: number;
}

export interface Passed {
  readonly seconds: number;
  readonly commitMs: readonly number[];
}

interface Round {
  readonly grouped: Passed;
  readonly single: Passed;
}

const peer = "node:sqlite";

/** The engine's part of a fan-out, on a file in the temporary folder. */
export async function benchEngineSqlite({ rounds, sizes, say }: BenchDeps): Promise<Measured> {
  return await using(async (closing) => {
    const folder = await mkdtemp(join(tmpdir(), "salt-bench-"));
    closing(() => rm(folder, { recursive: true }));
    const engine = createSqliteEngine({ file: join(folder, "salt.db"), clock: systemClock });
    closing(() => engine.close());
    const raw = new RawSqlite(join(folder, "raw.db"));
    closing(async () => raw.close());

    const grouped = { tasks: sizes.engineTasks, perCommit: 50 };
    const single = { tasks: Math.ceil(sizes.engineTasks / 10), perCommit: 1 };
    const measured: { salt: Round; raw: Round; cpuMicros: number }[] = [];
    for (let round = 0; round <= rounds; round += 1) {
      const cpu = process.cpuUsage();
      const saltGrouped = await passTasks(engine, { name: `grouped-${round}`, ...grouped });
      const { user, system } = process.cpuUsage(cpu);
      const rawGrouped = raw.pass({ name: `grouped-${round}`, ...grouped });
      const saltSingle = await passTasks(engine, { name: `single-${round}`, ...single });
      const rawSingle = raw.pass({ name: `single-${round}`, ...single });
      // The engine works without a turn of the event loop, in which a signal would be heard.
      await setImmediate();
      throwIfStopped();
      // The first round warms up.
      if (round === 0) continue;
      say(`engine.sqlite: round ${round} of ${rounds}`);
      measured.push({
        salt: { grouped: saltGrouped, single: saltSingle },
        raw: { grouped: rawGrouped, single: rawSingle },
        cpuMicros: (user + system) / grouped.tasks,
      });
    }
    const row = (metric: string, unit: Unit, read: (round: Round) => number): Row =>
      rowOf(
        { bench: "engine.sqlite", metric, unit },
        measured.map(({ salt }) => read(salt)),
        { name: peer, rounds: measured.map((each) => read(each.raw)) },
      );
    const cpu = { bench: "engine.sqlite", metric: "cpu", unit: "µs/task" } as const;
    const rows = [
      row("batches_of_100", "moves/s", (round) => (2 * grouped.tasks) / round.grouped.seconds),
      row("batches_of_1", "moves/s", (round) => (2 * single.tasks) / round.single.seconds),
      row("commit_of_100.p50", "ms", (round) => quantile(round.grouped.commitMs, 0.5)),
      row("commit_of_100.p99", "ms", (round) => quantile(round.grouped.commitMs, 0.99)),
      row("commit_of_1.p50", "ms", (round) => quantile(round.single.commitMs, 0.5)),
      rowOf(
        cpu,
        measured.map(({ cpuMicros }) => cpuMicros),
      ),
    ];
    return { problems: [], rows };
  });
}

/** Each commit settles what the one before granted, publishes as many anew and grants them. */
async function passTasks(engine: Engine, load: Load): Promise<Passed> {
  const commitMs: number[] = [];
  const claim: ClaimWant = { holdMs: 5_000, wants: [{ holder: "agt_1/7", queues: [queue], take: load.perCommit }] };
  const startMs = performance.now();
  let granted: readonly Claim[] = [];
  let published = 0;
  let settled = 0;
  do {
    const settling = granted.map(({ member, fence }) => settle(member, fence));
    settled += settling.length;
    const from = published;
    const count = Math.min(load.perCommit, load.tasks - from);
    const publishing = Array.from({ length: count }, (_, n) => publish(taskName(load.name, from + n)));
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
  if (settled !== load.tasks) throw new Error(`Of ${load.tasks} tasks the engine settled ${settled}.`);
  return { seconds: (performance.now() - startMs) / 1000, commitMs };
}
