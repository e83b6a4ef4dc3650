import { type BenchDeps, type Measured, using } from "./bench.ts";
import { chain } from "./call.ts";
import { fanOut } from "./fanout.ts";
import { canReadProcesses } from "./processes.ts";
import { haveRestate, type Restate, startRestate } from "./restate/start-restate.ts";
import { type Row, rowOf, voidRow } from "./rows.ts";
import { runToOutput } from "./runs.ts";
import { type Salt, startSalt } from "./start-salt.ts";
import { quantile } from "./statistics.ts";

const runsAtOnce = 50;
/**
 * So many steps together in an invocation, and as many invocations at once as it takes, is the shape in which Restate is
 * fastest; what all steps of one invocation cost grows with their square.
 */
const stepsOfInvocation = 100;

/** Rounds that do not count: after the first one V8 has not yet compiled all that is hot. */
const warmUps = 2;

interface Round {
  readonly stepsPerSecond: number;
  readonly cpu: number;
  readonly stepsMs: readonly number[];
  readonly runsMs: readonly number[];
  readonly runsPerSecond: number;
  readonly problem: string | null;
}

/**
 * Durable steps of Salt and of Restate, in turns. Both flush to disk before they say that a step is done. Salt's step is a
 * task: another process executes it, which may be on another machine; Restate's is a function that the handler's own
 * process calls.
 */
export async function benchRestate(deps: BenchDeps): Promise<Measured> {
  if (!haveRestate()) return { problems: [], rows: [] };
  return await using(async (closing) => {
    const salt = await startSalt(deps);
    closing(salt.close);
    const restate = await startRestate();
    closing(restate.close);
    const warmedUp: Round[] = [];
    for (let count = 1; count <= Math.min(warmUps, deps.rounds); count += 1) {
      warmedUp.push(await roundOfSalt(salt, deps), await roundOfRestate(restate, deps));
    }
    const rounds: Round[] = [];
    const peers: Round[] = [];
    for (let round = 1; round <= deps.rounds; round += 1) {
      rounds.push(await roundOfSalt(salt, deps));
      peers.push(await roundOfRestate(restate, deps));
      const [ours, theirs] = [rounds.at(-1), peers.at(-1)].map((each) => Math.round(each?.stepsPerSecond ?? 0));
      deps.say(`restate: round ${round} of ${deps.rounds}, ${ours} steps/s against ${theirs}`);
    }
    const problems = [...warmedUp, ...rounds, ...peers].flatMap(({ problem }) => problem ?? []);
    const rows = rowsOf(rounds, peers);
    return { problems, rows: problems.length === 0 ? rows : rows.map(voidRow) };
  });
}

function rowsOf(rounds: readonly Round[], peers: readonly Round[]): Row[] {
  const row = (metric: string, unit: Row["unit"], read: (round: Round) => number) =>
    rowOf({ bench: "restate", metric, unit }, rounds.map(read), { name: "restate", rounds: peers.map(read) });
  return [
    row("steps", "steps/s", ({ stepsPerSecond }) => stepsPerSecond),
    ...(canReadProcesses ? [row("cpu", "µs/task", ({ cpu }) => cpu)] : []),
    row("step.p50", "ms", ({ stepsMs }) => quantile(stepsMs, 0.5)),
    row("step.p99", "ms", ({ stepsMs }) => quantile(stepsMs, 0.99)),
    row("run.p50", "ms", ({ runsMs }) => quantile(runsMs, 0.5)),
    row("run.p99", "ms", ({ runsMs }) => quantile(runsMs, 0.99)),
    row("runs", "runs/s", ({ runsPerSecond }) => runsPerSecond),
  ];
}

async function roundOfSalt(salt: Salt, deps: BenchDeps): Promise<Round> {
  const { tasksPerSecond, cpu, problem } = await fanOut(salt, deps);
  const one = (n: number) => runToOutput(salt.client, "one", n);
  return {
    stepsPerSecond: tasksPerSecond,
    cpu: (cpu.coordinator + cpu.agent + cpu.programs) / deps.sizes.tasks,
    stepsMs: await chain(salt.client, deps.sizes.calls),
    ...(await timeRuns(one, deps.sizes.runs)),
    problem,
  };
}

async function roundOfRestate({ bench, cpuMicros }: Restate, { sizes }: BenchDeps): Promise<Round> {
  const steps = sizes.tasks;
  const before = cpuMicros();
  const startMs = performance.now();
  const sums = await Promise.all(partsOf(steps).map((part) => bench.fanOut({ steps: part })));
  const seconds = (performance.now() - startMs) / 1_000;
  const cpu = (cpuMicros() - before) / steps;
  const isRight = sums.every((sum, index) => sum === sumBelow(partsOf(steps)[index] ?? 0));
  return {
    stepsPerSecond: steps / seconds,
    cpu,
    stepsMs: await bench.chain({ steps: sizes.calls }),
    ...(await timeRuns((n) => bench.one(n), sizes.runs)),
    problem: isRight ? null : `Restate's ${steps} steps gave the sums ${sums.join(", ")}.`,
  };
}

const sumBelow = (steps: number): number => (steps * (steps - 1)) / 2;

function partsOf(steps: number): number[] {
  const whole = Array.from({ length: Math.floor(steps / stepsOfInvocation) }, () => stepsOfInvocation);
  const rest = steps % stepsOfInvocation;
  return rest === 0 ? whole : [...whole, rest];
}

/** Runs of one step each: one after another, and then five times as many with so many under way at once. */
async function timeRuns(
  one: (n: number) => PromiseLike<unknown>,
  runs: number,
): Promise<Pick<Round, "runsMs" | "runsPerSecond">> {
  const check = async (n: number) => {
    const output = await one(n);
    if (output !== n) throw new Error(`A run that returns its input ${n} returned ${JSON.stringify(output)}.`);
  };
  const runsMs: number[] = [];
  for (let n = 0; n < runs; n += 1) {
    const startMs = performance.now();
    await check(n);
    runsMs.push(performance.now() - startMs);
  }
  const together = 5 * runs;
  let next = 0;
  const startMs = performance.now();
  const openInTurn = async () => {
    while (next < together) {
      next += 1;
      await check(next);
    }
  };
  await Promise.all(Array.from({ length: runsAtOnce }, openInTurn));
  return { runsMs, runsPerSecond: together / ((performance.now() - startMs) / 1_000) };
}
