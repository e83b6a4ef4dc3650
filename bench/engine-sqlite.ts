import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { createSqliteEngine } from "#coordinator/engine/sqlite/sqlite-engine.ts";
import { systemClock } from "#shared/system.ts";
import { type BenchDeps, type Measured, using } from "./bench.ts";
import { type Passed, passTasks } from "./pass-tasks.ts";
import { RawSqlite } from "./raw-sqlite.ts";
import { type Row, rowOf, type Unit } from "./rows.ts";
import { throwIfStopped } from "./server-process.ts";
import { quantile } from "./statistics.ts";

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
