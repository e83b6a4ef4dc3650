import { setImmediate } from "node:timers/promises";
import { Redis } from "ioredis";
import { createRedisEngine } from "#coordinator/engine/redis/redis-engine.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { haveRedis, startRedis } from "../tests/support/redis-server.ts";
import { type BenchDeps, type Measured, using } from "./bench.ts";
import { entry, journal, record, taskKey, taskName, tasks } from "./engine-moves.ts";
import { type Load, type Passed, passTasks } from "./pass-tasks.ts";
import { cpuMicros } from "./processes.ts";
import { type Row, rowOf, type Unit } from "./rows.ts";
import { throwIfStopped } from "./server-process.ts";
import { quantile } from "./statistics.ts";

interface Round {
  readonly grouped: Passed;
  readonly single: Passed;
  /** CPU time of the server for one task, in commits of 100 moves. */
  readonly serverMicros: number;
}

const peer = "raw redis";

/** The engine's part of a fan-out on one Redis with `appendfsync everysec`, beside plain commands on the same. */
export async function benchEngineRedis({ rounds, sizes, say }: BenchDeps): Promise<Measured> {
  if (!haveRedis()) return { problems: [], rows: [] };
  return await using(async (closing) => {
    const redis = await startRedis({ appendfsync: "everysec" });
    closing(redis.close);
    const engine = await createRedisEngine({ url: redis.url, clock: systemClock, random: systemRandom });
    closing(() => engine.close());
    const raw = new Redis(redis.port, "127.0.0.1");
    closing(async () => raw.disconnect());
    const grouped = { tasks: sizes.engineTasks, perCommit: 50 };
    const single = { tasks: Math.ceil(sizes.engineTasks / 10), perCommit: 1 };
    const take = async (pass: (load: Load) => Promise<Passed>, name: string): Promise<Round> => {
      const before = cpuMicros(redis.pid());
      const passed = await pass({ name: `${name}-grouped`, ...grouped });
      const serverMicros = (cpuMicros(redis.pid()) - before) / grouped.tasks;
      return { grouped: passed, single: await pass({ name: `${name}-single`, ...single }), serverMicros };
    };
    const measured: { salt: Round; raw: Round }[] = [];
    for (let round = 0; round <= rounds; round += 1) {
      const one = {
        salt: await take((load) => passTasks(engine, load), `salt-${round}`),
        raw: await take((load) => passRaw(raw, load), `raw-${round}`),
      };
      await setImmediate();
      throwIfStopped();
      // The first round warms up.
      if (round > 0) measured.push(one);
      if (round > 0) say(`engine.redis: round ${round} of ${rounds}`);
    }
    const row = (metric: string, unit: Unit, read: (round: Round) => number): Row =>
      rowOf(
        { bench: "engine.redis", metric, unit },
        measured.map(({ salt }) => read(salt)),
        { name: peer, rounds: measured.map((each) => read(each.raw)) },
      );
    const rows = [
      row("batches_of_100", "moves/s", (round) => (2 * grouped.tasks) / round.grouped.seconds),
      row("batches_of_1", "moves/s", (round) => (2 * single.tasks) / round.single.seconds),
      row("commit_of_100.p50", "ms", (round) => quantile(round.grouped.commitMs, 0.5)),
      row("commit_of_1.p50", "ms", (round) => quantile(round.single.commitMs, 0.5)),
      row("cpu.redis", "µs/task", (round) => round.serverMicros),
    ];
    return { problems: [], rows };
  });
}

/** What stays of the same moves, by plain commands: a pipeline in place of each commit, and nothing checked or granted. */
async function passRaw(raw: Redis, load: Load): Promise<Passed> {
  const commitMs: number[] = [];
  const startMs = performance.now();
  for (let from = 0; from < load.tasks; from += load.perCommit) {
    const names = Array.from({ length: Math.min(load.perCommit, load.tasks - from) }, (_, n) =>
      taskName(load.name, from + n),
    );
    const publishing = raw.pipeline();
    for (const name of names) publishing.set(taskKey(name), record).rpush(journal, entry).zadd(tasks, from, name);
    const settling = raw.pipeline();
    for (const name of names) settling.set(taskKey(name), record).rpush(journal, entry);
    for (const pipeline of load.perCommit === 1 ? [publishing, settling] : [publishing]) {
      const beginMs = performance.now();
      if (load.perCommit > 1) await Promise.all([pipeline.exec(), settling.exec()]);
      else await pipeline.exec();
      commitMs.push(performance.now() - beginMs);
    }
  }
  return { seconds: (performance.now() - startMs) / 1000, commitMs };
}
