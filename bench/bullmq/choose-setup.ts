import type { BenchDeps } from "../bench.ts";
import { type Setup, startBullmq } from "./start-bullmq.ts";

/** One process is often BullMQ's best where there are few cores; more of them is what its documentation advises. */
const setups: readonly Setup[] = [
  { workers: 1, concurrency: 50 },
  { workers: 1, concurrency: 200 },
  { workers: 2, concurrency: 50 },
  { workers: 2, concurrency: 200 },
];

/** The set-up in which BullMQ is through with so many jobs first, on this machine and this line. */
export async function chooseSetup({ sizes, say }: BenchDeps, connect: () => Promise<number>): Promise<Setup> {
  const trials: { readonly setup: Setup; readonly tookMs: number }[] = [];
  const jobs = sizes.tasks;
  for (const setup of setups.slice(0, sizes.setups)) {
    const bullmq = await startBullmq(setup, connect);
    try {
      // The first is warm-up.
      await bullmq.carryOut({ jobs, how: "bulk" });
      const { timesMs } = await bullmq.carryOut({ jobs, how: "bulk" });
      const tookMs = timesMs[0] ?? Number.POSITIVE_INFINITY;
      trials.push({ setup, tookMs });
      const { workers, concurrency } = setup;
      say(`bullmq: ${workers} workers, concurrency ${concurrency}: ${Math.round(jobs / (tookMs / 1_000))} jobs/s`);
    } finally {
      await bullmq.close();
    }
  }
  const [best] = trials.sort((a, b) => a.tookMs - b.tookMs);
  if (best === undefined) throw new Error("There are set-ups to choose from.");
  say(`bullmq: best with ${best.setup.workers} workers and concurrency ${best.setup.concurrency}, which takes part`);
  return best.setup;
}
