import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { haveRedis, type RedisServer, startRedis } from "../tests/support/redis-server.ts";
import type { Order, Report } from "./agents/light-agents.ts";
import { type BenchDeps, type Measured, using } from "./bench.ts";
import { startChild } from "./child.ts";
import { openParked } from "./parked.ts";
import { canReadProcesses, cpuMicros } from "./processes.ts";
import { type Row, rowOf, type Unit } from "./rows.ts";
import { nearEnd, runToOutput } from "./runs.ts";
import { startCoordinator } from "./start-coordinator.ts";
import { startSalt } from "./start-salt.ts";

/** For as long a Redis is watched, at most: three times as long as agents take to renew. */
const watchMsMax = 30_000;
const restMs = 1_500;

const row = (metric: string, unit: Unit, value: number): Row => rowOf({ bench: "redis.size", metric, unit }, [value]);

/** What things take of a Redis that stay in it: memory, its file, and its processor. */
export async function benchRedisSize(deps: BenchDeps): Promise<Measured> {
  if (!haveRedis()) return { problems: [], rows: [] };
  const rows = [...(await measureRuns(deps)), ...(canReadProcesses ? await measureAgents(deps) : [])];
  return { problems: [], rows };
}

interface Size {
  /** Without what waits to be written or sent. */
  readonly memory: number;
  readonly file: number;
}

async function sizeOf(redis: RedisServer, deps: BenchDeps): Promise<Size> {
  await sleep(Math.min(restMs, deps.sizes.idleMs));
  const text = `${await redis.command("INFO", "memory")}${await redis.command("INFO", "persistence")}`;
  const number = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, "m").exec(text)?.[1] ?? Number.NaN);
  const passing = ["mem_clients_normal", "mem_aof_buffer"].reduce((sum, name) => sum + number(name), 0);
  return { memory: number("used_memory") - passing, file: number("aof_current_size") };
}

async function measureRuns(deps: BenchDeps): Promise<Row[]> {
  return await using(async (closing) => {
    const redis = await startRedis({ appendfsync: "everysec", settings: ["--auto-aof-rewrite-percentage", "0"] });
    closing(redis.close);
    const salt = await startSalt({ ...deps, redis: redis.url });
    closing(salt.close);
    const { tasks, runs, parked } = deps.sizes;
    await runToOutput(salt.client, "one", 1);
    const rows: Row[] = [];
    const grown = async (name: string, count: number, make: () => Promise<unknown>) => {
      const before = await sizeOf(redis, deps);
      await make();
      const after = await sizeOf(redis, deps);
      rows.push(row(name, "bytes", (after.memory - before.memory) / count));
      rows.push(row(`${name}.file`, "bytes", (after.file - before.file) / count));
      deps.say(`redis.size: ${name}`);
    };
    await grown("task", tasks, () => runToOutput(salt.client, "fan-out", { tasks }, nearEnd(tasks)));
    rows.push(row("journal_entry", "bytes", await entryBytes(redis, 2 * tasks)));
    await grown("run", runs, async () => {
      for (let n = 0; n < runs; n += 1) await runToOutput(salt.client, "one", n);
    });
    await grown("parked_run", parked, () => openParked(salt.client, parked));
    return rows;
  });
}

/** Of the one long journal. */
async function entryBytes(redis: RedisServer, least: number): Promise<number> {
  for (let cursor = "0"; ; ) {
    const scan = ["SCAN", cursor, "TYPE", "list", "COUNT", "1000"];
    const [next, keys] = (await redis.command(...scan)) as [string, string[]];
    for (const key of keys) {
      const length = Number(await redis.command("LLEN", key));
      if (length >= least) return Number(await redis.command("MEMORY", "USAGE", key, "SAMPLES", "0")) / length;
    }
    if (next === "0") return Number.NaN;
    cursor = next;
  }
}

/** Agents without programs: idle, then each with a lease that it renews. */
async function measureAgents(deps: BenchDeps): Promise<Row[]> {
  return await using(async (closing) => {
    const redis = await startRedis({ appendfsync: "everysec", settings: ["--auto-aof-rewrite-percentage", "0"] });
    closing(redis.close);
    const coordinator = await startCoordinator({ ...deps, redis: redis.url });
    closing(coordinator.close);
    const program = path.join(import.meta.dirname, "agents", "light-agents.ts");
    const agents = await startChild(program, [coordinator.url, coordinator.token]);
    closing(agents.stop);
    const ask = async (order: Order) => (await agents.ask(order)) as Report;
    const watchMs = Math.min(watchMsMax, deps.sizes.idleMs);
    /** Microseconds of its CPU in a second. */
    const busy = async () => {
      const before = cpuMicros(redis.pid());
      await sleep(watchMs);
      return ((cpuMicros(redis.pid()) - before) * 1_000) / watchMs;
    };
    await ask({ kind: "connect", agents: 1 });
    await coordinator.client.call("openRun", { body: { project: "bench", workflow: "waiting" } });
    const alone = await busy();
    const rows = [row("coordinator.cpu", "µs", alone)];
    let connected = 1;
    for (const count of deps.sizes.agents) {
      const before = await sizeOf(redis, deps);
      await ask({ kind: "connect", agents: count });
      const after = await sizeOf(redis, deps);
      const idle = await busy();
      deps.say(`redis.size: ${count} idle agents`);
      await ask({ kind: "hold", tasks: count });
      await sleep(Math.min(restMs, deps.sizes.idleMs));
      const renewalsBefore = (await ask({ kind: "count" })).beats?.renewals ?? 0;
      const holding = await busy();
      const renewals = ((await ask({ kind: "count" })).beats?.renewals ?? 0) - renewalsBefore;
      await ask({ kind: "letGo" });
      rows.push(row(`${count}.agent`, "bytes", (after.memory - before.memory) / (count - connected)));
      connected = count;
      rows.push(row(`${count}.idle.cpu`, "µs", Math.max(0, idle - alone)));
      const micros = (Math.max(0, holding - idle) * watchMs) / 1_000;
      rows.push(row(`${count}.renewal.cpu`, "µs", micros / Math.max(1, renewals)));
    }
    return rows;
  });
}
