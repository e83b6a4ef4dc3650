import { type Bare, startBare } from "./bare/start-bare.ts";
import { type BenchDeps, type Measured, using } from "./bench.ts";
import { canReadProcesses, cpuMicros, cpuMicrosBelow } from "./processes.ts";
import { type Row, rowOf, voidRow } from "./rows.ts";
import { countSettled, followRun, nearEnd, openRun, readOutput } from "./runs.ts";
import { type Salt, startSalt } from "./start-salt.ts";

const fanout = "fanout";

/** Of one fan-out; CPU in microseconds of user and system time. */
export interface FanOut {
  readonly tasksPerSecond: number;
  readonly cpu: { readonly coordinator: number; readonly agent: number; readonly programs: number };
  /** Why it does not count, or null. */
  readonly problem: string | null;
}

/** Many no-op tasks through everything, and through the bare peer, in turns. */
export async function benchFanout(deps: BenchDeps): Promise<Measured> {
  return await using(async (closing) => {
    const salt = await startSalt(deps);
    closing(salt.close);
    const bare = await startBare();
    closing(bare.close);
    const warmUp = await fanOut(salt, deps);
    await fanOutBare(bare, deps);
    const rounds: FanOut[] = [];
    const bareRounds: { tasksPerSecond: number; cpu: number }[] = [];
    for (let round = 1; round <= deps.rounds; round += 1) {
      const measured = await fanOut(salt, deps);
      rounds.push(measured);
      bareRounds.push(await fanOutBare(bare, deps));
      deps.say(`fanout: round ${round} of ${deps.rounds}, ${Math.round(measured.tasksPerSecond)} tasks/s`);
    }
    const problems = [warmUp, ...rounds].flatMap(({ problem }) => problem ?? []);
    const rows = rowsOf(deps.sizes.tasks, rounds, bareRounds);
    return { problems, rows: problems.length === 0 ? rows : rows.map(voidRow) };
  });
}

function rowsOf(
  tasks: number,
  rounds: readonly FanOut[],
  bareRounds: readonly { tasksPerSecond: number; cpu: number }[],
): Row[] {
  const speed = rounds.map(({ tasksPerSecond }) => tasksPerSecond);
  const bareSpeed = { name: "bare", rounds: bareRounds.map(({ tasksPerSecond }) => tasksPerSecond) };
  const row = rowOf({ bench: fanout, metric: "tasks", unit: "tasks/s" }, speed, bareSpeed);
  if (!canReadProcesses) return [row];
  const part = (metric: string, read: (round: FanOut) => number, peer?: { name: string; rounds: number[] }) =>
    rowOf(
      { bench: fanout, metric, unit: "µs/task" },
      rounds.map((round) => read(round) / tasks),
      peer,
    );
  return [
    row,
    part("cpu", ({ cpu }) => cpu.coordinator + cpu.agent + cpu.programs, {
      name: "bare",
      rounds: bareRounds.map(({ cpu }) => cpu / tasks),
    }),
    part("cpu.coordinator", ({ cpu }) => cpu.coordinator),
    part("cpu.agent", ({ cpu }) => cpu.agent),
    part("cpu.programs", ({ cpu }) => cpu.programs),
  ];
}

/** One run of so many tasks, from the request to the end of the run, and then a look at whether all of it is true. */
export async function fanOut({ client, coordinator, agent }: Salt, deps: BenchDeps): Promise<FanOut> {
  const { tasks } = deps.sizes;
  const readCpu = () => [cpuMicros(coordinator.pid), cpuMicros(agent().pid), cpuMicrosBelow(agent().pid)] as const;
  const before = canReadProcesses ? readCpu() : ([0, 0, 0] as const);
  const startMs = performance.now();
  const run = await openRun(client, deps.fanOutWorkflow ?? "fan-out", { tasks });
  await (await followRun(client, run, nearEnd(tasks))).ended;
  const seconds = (performance.now() - startMs) / 1000;
  const after = canReadProcesses ? readCpu() : ([0, 0, 0] as const);
  const delivered = { sum: await readOutput(client, run), settled: await countSettled(client, run) };
  return {
    tasksPerSecond: tasks / seconds,
    cpu: { coordinator: after[0] - before[0], agent: after[1] - before[1], programs: after[2] - before[2] },
    problem: judgeDelivery(tasks, delivered),
  };
}

/** Exact delivery: each task's output is in the sum, and each has settled once in the journal. */
export function judgeDelivery(
  tasks: number,
  { sum, settled }: { readonly sum: unknown; readonly settled: number },
): string | null {
  const wanted = (tasks * (tasks - 1)) / 2;
  if (sum !== wanted) return `A fan-out of ${tasks} tasks gave the sum ${sum}, not ${wanted}.`;
  if (settled !== tasks) return `Of a fan-out of ${tasks} tasks the journal has ${settled} settled.`;
  return null;
}

async function fanOutBare(bare: Bare, { sizes }: BenchDeps): Promise<{ tasksPerSecond: number; cpu: number }> {
  const before = bare.cpuMicros();
  const { timesMs } = await bare.carryOut({ jobs: sizes.tasks, together: true });
  return { tasksPerSecond: sizes.tasks / ((timesMs[0] ?? 0) / 1000), cpu: bare.cpuMicros() - before };
}
