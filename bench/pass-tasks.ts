import type { Claim, ClaimWant, Engine } from "#coordinator/engine/engine.ts";
import { partition, publish, queue, settle, taskName } from "./engine-moves.ts";

/** Tasks that are published and settled: two moves each. */
export interface Load {
  /** Of its own for each load: it is part of the tasks' names. */
  readonly name: string;
  readonly tasks: number;
  /** So many are published and as many settled by one commit; 1: each move has a commit of its own. */
  readonly perCommit: number;
}

export interface Passed {
  readonly seconds: number;
  readonly commitMs: readonly number[];
}

/** Each commit settles what the one before granted, publishes as many anew and grants them. */
export async function passTasks(engine: Engine, load: Load): Promise<Passed> {
  const commitMs: number[] = [];
  const claim: ClaimWant = { holdMs: 5_000, wants: [{ holder: "agt_1/7", queues: [queue], take: load.perCommit }] };
  const startMs = performance.now();
  let granted: readonly Claim[] = [];
  let published = 0;
  let settled = 0;
  do {
    const settling = granted.map(({ member, fence }) => settle(member, fence));
    settled += settling.length;
    const from = published;
    const count = Math.min(load.perCommit, load.tasks - from);
    const publishing = Array.from({ length: count }, (_, n) => publish(taskName(load.name, from + n)));
    published += count;
    const commits =
      load.perCommit === 1 ? [...settling, ...publishing].map((move) => [move]) : [[...settling, ...publishing]];
    granted = [];
    for (const batch of commits) {
      const beginMs = performance.now();
      const { results, claims } = await engine.commit(partition, batch, claim);
      commitMs.push(performance.now() - beginMs);
      if (results.some(({ outcome }) => outcome !== "applied")) throw new Error("A move of the benchmark was refused.");
      granted = claims;
    }
  } while (granted.length > 0);
  if (settled !== load.tasks) throw new Error(`Of ${load.tasks} tasks the engine settled ${settled}.`);
  return { seconds: (performance.now() - startMs) / 1000, commitMs };
}
