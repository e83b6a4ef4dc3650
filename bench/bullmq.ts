import path from "node:path";
import { Redis } from "ioredis";
import { haveRedis, type RedisServer, startRedis } from "../tests/support/redis-server.ts";
import { type BenchDeps, type Measured, using } from "./bench.ts";
import { chooseSetup } from "./bullmq/choose-setup.ts";
import type { Order } from "./bullmq/producer.ts";
import { type Bullmq, startBullmq } from "./bullmq/start-bullmq.ts";
import { chain } from "./call.ts";
import { startChild } from "./child.ts";
import { fanOut } from "./fanout.ts";
import { canReadProcesses, cpuMicros } from "./processes.ts";
import { type Row, rowOf, voidRow } from "./rows.ts";
import { type Salt, startSalt } from "./start-salt.ts";
import { quantile } from "./statistics.ts";

/** How long the way to Redis and back is, and how many of the usual calls are awaited over it. */
const lines = [
  { name: "", space: "near", delayMs: 0, callsPart: 1 },
  { name: "5ms.", space: "far", delayMs: 5, callsPart: 0.25 },
] as const;
type Line = (typeof lines)[number];

/** Rounds that do not count: after the first one V8 has not yet compiled all that is hot. */
const warmUps = 2;

interface Round {
  readonly perSecond: number;
  readonly cpu: number;
  /** The same where each job is awaited by itself. Of Salt it always is. */
  readonly awaited: { readonly perSecond: number; readonly cpu: number };
  readonly callsMs: readonly number[];
  readonly problem: string | null;
}

/** Salt's whole path and BullMQ's, of the same number of no-op tasks on the same Redis, in turns. */
export async function benchBullmq(deps: BenchDeps): Promise<Measured> {
  if (!haveRedis()) return { problems: [], rows: [] };
  return await using(async (closing) => {
    const redis = await startRedis({ appendfsync: "everysec" });
    closing(redis.close);
    const rows: Row[] = [];
    const problems: string[] = [];
    for (const line of lines) {
      const measured = await benchOver(line, redis, deps);
      rows.push(...measured.rows);
      problems.push(...measured.problems);
    }
    return { problems, rows: problems.length === 0 ? rows : rows.map(voidRow) };
  });
}

async function benchOver(line: Line, redis: RedisServer, deps: BenchDeps): Promise<Measured> {
  return await using(async (closing) => {
    /** Each client has a line of its own, so that none of them waits behind another. */
    const connect = async (): Promise<number> => {
      if (line.delayMs === 0) return redis.port;
      const proxy = await startChild(path.join(import.meta.dirname, "delay-proxy.ts"), [
        String(redis.port),
        String(line.delayMs / 2),
      ]);
      closing(proxy.stop);
      return (proxy.greeting as { port: number }).port;
    };
    const pings = await timePings(await connect());
    const setup = await chooseSetup(deps, connect);
    const salt = await startSalt({ ...deps, redis: `redis://127.0.0.1:${await connect()}?space=${line.space}:` });
    closing(salt.close);
    const bullmq = await startBullmq(setup, connect);
    closing(bullmq.close);
    const calls = Math.ceil(deps.sizes.calls * line.callsPart);
    const ofSalt = () => roundOfSalt({ salt, redis, calls }, deps);
    const ofBullmq = () => roundOfBullmq({ bullmq, redis, calls }, deps);
    const warmedUp: Round[] = [];
    for (let count = 1; count <= Math.min(warmUps, deps.rounds); count += 1) {
      warmedUp.push(await ofSalt());
      await ofBullmq();
    }
    const rounds: Round[] = [];
    const peers: Round[] = [];
    for (let round = 1; round <= deps.rounds; round += 1) {
      rounds.push(await ofSalt());
      peers.push(await ofBullmq());
      const [ours, theirs] = [rounds.at(-1), peers.at(-1)].map((each) => Math.round(each?.perSecond ?? 0));
      deps.say(`bullmq: ${line.name}round ${round} of ${deps.rounds}, ${ours} tasks/s against ${theirs}`);
    }
    const problems = [...warmedUp, ...rounds].flatMap(({ problem }) => problem ?? []);
    const ping = rowOf({ bench: "bullmq", metric: `${line.name}redis.ping`, unit: "ms" }, [quantile(pings, 0.5)]);
    return { problems, rows: [...rowsOf(line, rounds, peers), ping] };
  });
}

function rowsOf(line: Line, rounds: readonly Round[], peers: readonly Round[]): Row[] {
  const row = (metric: string, unit: Row["unit"], read: (round: Round) => number) =>
    rowOf({ bench: "bullmq", metric: `${line.name}${metric}`, unit }, rounds.map(read), {
      name: "bullmq",
      rounds: peers.map(read),
    });
  return [
    row("tasks", "tasks/s", ({ perSecond }) => perSecond),
    row("tasks.awaited", "tasks/s", ({ awaited }) => awaited.perSecond),
    ...(canReadProcesses ? [row("cpu", "µs/task", ({ cpu }) => cpu)] : []),
    ...(canReadProcesses ? [row("cpu.awaited", "µs/task", ({ awaited }) => awaited.cpu)] : []),
    row("call.p50", "ms", ({ callsMs }) => quantile(callsMs, 0.5)),
    row("call.p99", "ms", ({ callsMs }) => quantile(callsMs, 0.99)),
  ];
}

interface Sides {
  readonly redis: RedisServer;
  readonly calls: number;
}

async function roundOfSalt({ salt, redis, calls }: Sides & { salt: Salt }, deps: BenchDeps): Promise<Round> {
  const before = cpuOf(redis);
  const { tasksPerSecond, cpu, problem } = await fanOut(salt, deps);
  const all = cpu.coordinator + cpu.agent + cpu.programs + cpuOf(redis) - before;
  const callsMs = await chain(salt.client, calls);
  const together = { perSecond: tasksPerSecond, cpu: all / deps.sizes.tasks };
  return { ...together, awaited: together, callsMs, problem };
}

async function roundOfBullmq({ bullmq, redis, calls }: Sides & { bullmq: Bullmq }, deps: BenchDeps): Promise<Round> {
  const jobs = deps.sizes.tasks;
  const measure = async (how: Order["how"]) => {
    const before = cpuOf(redis) + bullmq.cpuMicros();
    const { timesMs } = await bullmq.carryOut({ jobs, how });
    const cpu = (cpuOf(redis) + bullmq.cpuMicros() - before) / jobs;
    return { perSecond: jobs / ((timesMs[0] ?? 0) / 1_000), cpu };
  };
  const together = await measure("bulk");
  const awaited = await measure("awaited");
  const { timesMs: callsMs } = await bullmq.carryOut({ jobs: calls, how: "in turn" });
  return { ...together, awaited, callsMs, problem: null };
}

const cpuOf = (redis: RedisServer): number => (canReadProcesses ? cpuMicros(redis.pid()) : 0);

async function timePings(port: number): Promise<number[]> {
  const redis = new Redis({ port, host: "127.0.0.1" });
  const timesMs: number[] = [];
  for (let count = 0; count < 200; count += 1) {
    const startMs = performance.now();
    await redis.ping();
    timesMs.push(performance.now() - startMs);
  }
  redis.disconnect();
  return timesMs;
}
