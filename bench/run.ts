import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Client } from "#cli/client.ts";
import { type BenchDeps, type Measured, using } from "./bench.ts";
import { openParked } from "./parked.ts";
import { type Row, rowOf } from "./rows.ts";
import { followRun, readOutput, runToOutput } from "./runs.ts";
import { type Salt, startSalt } from "./start-salt.ts";
import { quantile } from "./statistics.ts";

const coldRoundsMax = 3;
const warmUpRuns = 20;

/** From the request to the output: processes at hand; parked until a signal; and on an agent that has nothing. */
export async function benchRun(deps: BenchDeps): Promise<Measured> {
  return await using(async (closing) => {
    const salt = await startSalt(deps);
    closing(salt.close);
    const { client } = salt;
    await timeRuns(client, warmUpRuns);
    const warm: number[][] = [];
    const resumed: number[][] = [];
    for (let round = 1; round <= deps.rounds; round += 1) {
      warm.push(await timeRuns(client, deps.sizes.runs));
      resumed.push(await timeResumes(client, deps.sizes.resumes));
      deps.say(`run: round ${round} of ${deps.rounds}`);
    }
    const rows = [...quantileRows("warm", warm), ...quantileRows("resume", resumed), await coldRow(salt, deps)];
    return { problems: [], rows };
  });
}

function quantileRows(name: string, rounds: readonly (readonly number[])[]): Row[] {
  const row = (metric: string, part: number) =>
    rowOf(
      { bench: "run", metric, unit: "ms" },
      rounds.map((timesMs) => quantile(timesMs, part)),
    );
  return [row(`${name}.p50`, 0.5), row(`${name}.p99`, 0.99)];
}

async function timeMs(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}

/** Runs of one task, one after another. */
async function timeRuns(client: Client, runs: number): Promise<number[]> {
  const timesMs: number[] = [];
  for (let n = 0; n < runs; n += 1) timesMs.push(await timeMs(() => runOne(client, n)));
  return timesMs;
}

async function runOne(client: Client, n: number): Promise<void> {
  const output = await runToOutput(client, "one", n);
  if (output !== n) throw new Error(`A run that returns its input ${n} returned ${JSON.stringify(output)}.`);
}

/** Parks so many runs, then signals one after another and waits for its output. The client follows the run before. */
async function timeResumes(client: Client, resumes: number): Promise<number[]> {
  const timesMs: number[] = [];
  for (const [n, run] of (await openParked(client, resumes)).entries()) {
    const { ended } = await followRun(client, run);
    const spent = await timeMs(async () => {
      await client.call("signalRun", { params: { run, name: "go" }, body: { value: n } });
      await ended;
      const output = await readOutput(client, run);
      if (output !== n) throw new Error(`A run that was told ${n} returned ${JSON.stringify(output)}.`);
    });
    timesMs.push(spent);
  }
  return timesMs;
}

/** The agent fetches the binary and starts two processes. The peer is the binary itself, which needs no agent. */
async function coldRow(salt: Salt, deps: BenchDeps): Promise<Row> {
  const cold: number[] = [];
  const spawned: number[] = [];
  for (let round = 1; round <= Math.min(deps.rounds, coldRoundsMax); round += 1) {
    await salt.renewAgent();
    cold.push(await timeMs(() => runOne(salt.client, round)));
    spawned.push(await timeMs(() => promisify(execFile)(salt.binary, ["run", "one", "--input", String(round)])));
    deps.say(`run: cold round ${round}`);
  }
  return rowOf({ bench: "run", metric: "cold", unit: "ms" }, cold, { name: "main run", rounds: spawned });
}
