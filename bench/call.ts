import { z } from "zod";
import type { Client } from "#cli/client.ts";
import { startBare } from "./bare/start-bare.ts";
import { type BenchDeps, type Measured, using } from "./bench.ts";
import { rowOf } from "./rows.ts";
import { nearEnd, runToOutput } from "./runs.ts";
import { startSalt } from "./start-salt.ts";
import { quantile } from "./statistics.ts";

const outputSchema = z.array(z.number());

/** One awaited call after another, each timed by the workflow that makes it. The peer's jobs are timed by who sends them. */
export async function benchCall(deps: BenchDeps): Promise<Measured> {
  return await using(async (closing) => {
    const salt = await startSalt(deps);
    closing(salt.close);
    const bare = await startBare();
    closing(bare.close);
    const { calls } = deps.sizes;
    await chain(salt.client, calls);
    await bare.carryOut({ jobs: calls, together: false });
    const rounds: number[][] = [];
    const bareRounds: (readonly number[])[] = [];
    for (let round = 1; round <= deps.rounds; round += 1) {
      rounds.push(await chain(salt.client, calls));
      bareRounds.push((await bare.carryOut({ jobs: calls, together: false })).timesMs);
      deps.say(`call: round ${round} of ${deps.rounds}`);
    }
    const row = (metric: string, part: number) =>
      rowOf(
        { bench: "call", metric, unit: "ms" },
        rounds.map((timesMs) => quantile(timesMs, part)),
        { name: "bare", rounds: bareRounds.map((timesMs) => quantile(timesMs, part)) },
      );
    return { problems: [], rows: [row("p50", 0.5), row("p99", 0.99)] };
  });
}

/** No call is through its four processes in less. */
const callMsMin = 0.02;
const chainsMax = 3;

/**
 * So many calls, awaited one after another by one run: how many milliseconds each took. A run that lost its process measured
 * the replay instead, and another is made in its place.
 */
export async function chain(client: Client, calls: number): Promise<number[]> {
  for (let count = 1; ; count += 1) {
    const timesMs = outputSchema.parse(await runToOutput(client, "chain", { calls }, nearEnd(calls)));
    if (timesMs.length !== calls) throw new Error(`A workflow of ${calls} calls measured ${timesMs.length}.`);
    if (timesMs.every((timeMs) => timeMs > callMsMin)) return timesMs;
    if (count === chainsMax) throw new Error(`A workflow of ${calls} calls was replayed, ${chainsMax} times over.`);
  }
}
