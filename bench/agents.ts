import { readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { haveRedis, startRedis } from "../tests/support/redis-server.ts";
import type { Order, Report } from "./agents/light-agents.ts";
import { type BenchDeps, type Measured, using } from "./bench.ts";
import { type Child, startChild } from "./child.ts";
import { canReadProcesses, cpuMicros, residentBytes } from "./processes.ts";
import { type Row, rowOf } from "./rows.ts";
import { openRun } from "./runs.ts";
import { startCoordinator } from "./start-coordinator.ts";
import { quantile } from "./statistics.ts";

/** What is measured is what stays: processes have so long to come to rest. */
const restMs = 3_000;
/** Agents that are handed a task, each twice. Fewer than the classes of requirements that a project may have. */
const handOversMax = 200;
/** Open files of each side, those of its connections aside. */
const filesBeside = 200;

/** A coordinator with many agents that have nothing to do; one task for one of them; and all of them at work. */
export async function benchAgents(deps: BenchDeps): Promise<Measured> {
  if (!canReadProcesses) {
    deps.say("agents: not measured, for this system has no /proc");
    return { problems: [], rows: [] };
  }
  const needed = Math.max(...deps.sizes.agents) + filesBeside;
  if (openFilesMax() < needed) {
    throw new Error(`A process may have ${openFilesMax()} files open, ${needed} are needed: ulimit -n ${needed}.`);
  }
  const rows = await measureOn("", undefined, deps);
  if (!haveRedis()) return { problems: [], rows };
  return await using(async (closing) => {
    const redis = await startRedis({ appendfsync: "everysec" });
    closing(redis.close);
    return { problems: [], rows: [...rows, ...(await measureOn("redis.", redis.url, deps))] };
  });
}

/** Node has raised its own bound to what the system allows at most. */
function openFilesMax(): number {
  const bound = /^Max open files\s+(\w+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  return bound === "unlimited" ? Number.POSITIVE_INFINITY : Number(bound);
}

interface Stand {
  readonly deps: BenchDeps;
  readonly pid: number;
  readonly ask: (order: Order) => Promise<Report>;
}

async function measureOn(engine: string, redis: string | undefined, deps: BenchDeps): Promise<Row[]> {
  return await using(async (closing) => {
    const collector = path.join(import.meta.dirname, "agents", "collect-on-signal.ts");
    const coordinator = await startCoordinator({
      ...deps,
      ...(redis === undefined ? {} : { redis }),
      coordinatorNodeArgs: ["--expose-gc", "--import", collector],
    });
    closing(coordinator.close);
    const program = path.join(import.meta.dirname, "agents", "light-agents.ts");
    const agents: Child = await startChild(program, [coordinator.url, coordinator.token]);
    closing(agents.stop);
    const ask = async (order: Order) => (await agents.ask(order)) as Report;
    const stand: Stand = { deps, pid: coordinator.server.pid, ask };
    // One agent, and a run whose workflow task it holds, so that code and caches are there.
    await ask({ kind: "connect", agents: 1 });
    await openRun(coordinator.client, "waiting");
    await ask({ kind: "handOver", slots: Array.from({ length: handOversMax }, () => 0) });
    const empty = { bytes: await memoryOf(stand), micros: await idleMicros(stand, deps.sizes.idleMs / 2) };
    const rows: Row[] = [];
    for (const count of deps.sizes.agents) rows.push(...(await measureMany(stand, count, `${engine}${count}.`, empty)));
    return rows;
  });
}

interface Empty {
  readonly bytes: number;
  /** What it takes of the CPU in a millisecond, alone. */
  readonly micros: number;
}

async function measureMany(stand: Stand, count: number, prefix: string, empty: Empty): Promise<Row[]> {
  const { ask, deps } = stand;
  const { idleMs } = deps.sizes;
  const row = (metric: string, unit: Row["unit"], value: number) =>
    rowOf({ bench: "agents", metric: `${prefix}${metric}`, unit }, [value]);
  await ask({ kind: "connect", agents: count });
  deps.say(`agents: ${prefix} connected`);
  const memory = ((await memoryOf(stand)) - empty.bytes) / count;
  const heartbeat = await cpuOfEach("pings", stand, empty);
  const slots = Array.from({ length: Math.min(handOversMax, count) }, (_, n) => Math.floor((n * count) / handOversMax));
  const first = (await ask({ kind: "handOver", slots })).timesMs ?? [];
  const again = (await ask({ kind: "handOver", slots })).timesMs ?? [];
  deps.say(`agents: ${prefix} handed over`);
  await ask({ kind: "hold", tasks: count });
  const renewal = await cpuOfEach("renewals", stand, { ...empty, micros: empty.micros + heartbeat.micros / idleMs });
  await ask({ kind: "letGo" });
  return [
    row("memory", "KiB", memory / 1024),
    row("cpu_of_heartbeat", "µs", heartbeat.each),
    row("cpu_of_renewal", "µs", renewal.each),
    row("hand_over.p50", "ms", quantile(again, 0.5)),
    row("hand_over.p99", "ms", quantile(again, 0.99)),
    row("hand_over.first.p50", "ms", quantile(first, 0.5)),
    row("hand_over.first.p99", "ms", quantile(first, 0.99)),
  ];
}

/** What the coordinator spent on so many heartbeats beyond what it spends without them. */
async function cpuOfEach(
  what: "pings" | "renewals",
  stand: Stand,
  beside: Empty,
): Promise<{ readonly each: number; readonly micros: number }> {
  const { idleMs } = stand.deps.sizes;
  await sleep(Math.min(restMs, idleMs));
  const before = (await stand.ask({ kind: "count" })).beats?.[what] ?? 0;
  const micros = ((await idleMicros(stand, idleMs)) - beside.micros) * idleMs;
  const beats = ((await stand.ask({ kind: "count" })).beats?.[what] ?? 0) - before;
  return { each: Math.max(0, micros) / Math.max(1, beats), micros: Math.max(0, micros) };
}

/** Microseconds of CPU that it takes in a millisecond while nothing is asked of it. */
async function idleMicros({ pid }: Stand, forMs: number): Promise<number> {
  const before = cpuMicros(pid);
  const startMs = performance.now();
  await sleep(forMs);
  return (cpuMicros(pid) - before) / (performance.now() - startMs);
}

async function memoryOf({ pid, deps }: Stand): Promise<number> {
  const pauseMs = Math.min(restMs, deps.sizes.idleMs);
  await sleep(pauseMs);
  process.kill(pid, "SIGUSR2");
  await sleep(pauseMs);
  return residentBytes(pid);
}
