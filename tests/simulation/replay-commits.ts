import type { ClaimWant, Committed, Engine, Transaction } from "#coordinator/engine/engine.ts";
import { createMemoryEngine } from "#coordinator/engine/memory/memory-engine.ts";
import type { Partition } from "#shared/domain/ids.ts";
import type { Clock } from "#shared/ports.ts";

/** A commit as it was made, at the time of the engine's clock. */
export interface PastCommit {
  readonly who: string;
  readonly partition: Partition;
  readonly batch: readonly Transaction[];
  readonly claim: ClaimWant | undefined;
  readonly committed: Committed;
  readonly wallMs: number;
  readonly monotonicMs: number;
}

/** An engine to which the same was done at the same times: what a replica has that heard of no more. */
export function replayCommits(past: readonly PastCommit[], clock: Clock): Engine {
  let at: PastCommit | undefined = past[0];
  const engine = createMemoryEngine({
    clock: {
      nowMs: () => at?.wallMs ?? clock.nowMs(),
      monotonicMs: () => at?.monotonicMs ?? clock.monotonicMs(),
      after: (delayMs, callback) => clock.after(delayMs, callback),
      soon: (callback) => clock.soon(callback),
    },
  });
  for (const commit of past) {
    at = commit;
    const { partition, batch, claim } = commit;
    // In memory a commit is done when the call returns.
    void (claim === undefined ? engine.commit(partition, batch) : engine.commit(partition, batch, claim));
  }
  at = undefined;
  return engine;
}
