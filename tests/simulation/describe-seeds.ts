import { describe, expect, it } from "vitest";
import { simulate } from "./simulate.ts";
import { tellFailure } from "./tell-failure.ts";

const linesShown = 60;
const seedsPerTest = 10;
/** On a slow and busy machine. */
const seedMs = 12_000;

/** Seeds one after another, each twice. */
export function describeSeeds(from: number, count: number): void {
  const firsts = Array.from({ length: count / seedsPerTest }, (_, index) => from + index * seedsPerTest);
  const tenth = `seeds %i and the ${seedsPerTest - 1} after it`;
  describe("a simulated cluster", () => {
    it.each(firsts)(
      `C27 C28 comes to rest after its faults, with nothing lost or done twice (${tenth})`,
      async (first) => {
        for (let seed = first; seed < first + seedsPerTest; seed += 1) await checkSeed(seed);
      },
      seedsPerTest * seedMs,
    );
  });
}

async function checkSeed(seed: number, failOverMs = 0): Promise<void> {
  const { wrong, hash, cluster } = await simulate({ seed, failOverMs });
  if (wrong.length > 0) throw new Error(tellFailure(seed, wrong, cluster.trace, linesShown));
  expect((await simulate({ seed, failOverMs })).hash, `seed ${seed} does the same twice`).toBe(hash);
}

/** Seeds whose engine fails over again and again, to a server that has not heard of the last second. */
export function describeFailovers(from: number, count: number): void {
  it(
    "A7 C16 a simulated cluster comes to rest although its engine forgets what it acknowledged last",
    async () => {
      for (let seed = from; seed < from + count; seed += 1) await checkSeed(seed, 8_000);
    },
    count * seedMs,
  );
}
