import { benchAgents } from "./agents.ts";
import { type BenchDeps, type Measured, type Sizes, usualSizes } from "./bench.ts";
import { benchBullmq } from "./bullmq.ts";
import { benchCall } from "./call.ts";
import { benchEngineRedis } from "./engine-redis.ts";
import { benchEngineSqlite } from "./engine-sqlite.ts";
import { benchFanout } from "./fanout.ts";
import { describeMachine } from "./machine.ts";
import { benchMemory } from "./memory.ts";
import { benchPython } from "./python.ts";
import { benchRedisSize } from "./redis-size.ts";
import { benchRestate } from "./restate.ts";
import { type BenchName, benchNames, jsonLines, tableHead, tableRow } from "./rows.ts";
import { benchRun } from "./run.ts";

const benches: Readonly<Record<BenchName, (deps: BenchDeps) => Promise<Measured>>> = {
  fanout: benchFanout,
  call: benchCall,
  run: benchRun,
  memory: benchMemory,
  "engine.sqlite": benchEngineSqlite,
  "engine.redis": benchEngineRedis,
  bullmq: benchBullmq,
  restate: benchRestate,
  agents: benchAgents,
  "redis.size": benchRedisSize,
  python: benchPython,
};

export interface BenchRequest {
  /** Which; none: all. */
  readonly names: readonly BenchName[];
  readonly rounds: number;
  /** One object a line in place of the table. */
  readonly json: boolean;
}

export interface BenchOutput {
  /** Takes a line of results. */
  readonly print: (line: string) => void;
  /** Takes a line about how the work goes. */
  readonly say: (line: string) => void;
  /** Default: the usual ones. */
  readonly sizes?: Sizes;
  readonly fanOutWorkflow?: string;
}

/** Runs benchmarks one after another; each prints its rows as it ends. Returns the exit status: 1 when a row is void. */
export async function runBenches(output: BenchOutput, { names, rounds, json }: BenchRequest): Promise<0 | 1> {
  const { print, say, sizes = usualSizes, fanOutWorkflow } = output;
  if (!json) for (const line of [...describeMachine(), "", tableHead()]) print(line);
  let status: 0 | 1 = 0;
  for (const name of benchNames.filter((each) => names.length === 0 || names.includes(each))) {
    const deps = { rounds, sizes, say, ...(fanOutWorkflow === undefined ? {} : { fanOutWorkflow }) };
    const { rows, problems } = await benches[name](deps);
    for (const row of rows) for (const line of json ? jsonLines(row) : [tableRow(row)]) print(line);
    for (const problem of problems) say(`${name}: void: ${problem}`);
    if (problems.length > 0) status = 1;
  }
  return status;
}
