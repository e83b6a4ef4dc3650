import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { SaltError } from "#shared/domain/errors.ts";
import { partitionAt } from "#shared/domain/ids.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { createFailingEngine } from "./engine/failing/failing-engine.ts";
import { createMemoryEngine } from "./engine/memory/memory-engine.ts";
import { Loops } from "./loops.ts";

test("a store that is away is told of once, not by each step of each tick, and again while it stays so", async () => {
  const ticks: (() => void)[] = [];
  const clock: typeof systemClock = {
    ...systemClock,
    after(_, act) {
      ticks.push(act);
      return { cancel: () => undefined };
    },
  };
  const told: unknown[] = [];
  const memory = createMemoryEngine({ clock });
  const engine = createFailingEngine(memory, { clock, random: systemRandom, faults: { refuse: 1 } });
  const away = async () => {
    throw new SaltError("Unavailable", "Cannot commit: there is no connection.");
  };
  const loops = new Loops({
    engine,
    clock,
    partitions: Array.from({ length: 16 }, (_, index) => partitionAt(index)),
    logger: { warn: (fields) => told.push(fields) },
    fireTimers: away,
    expireLeases: away,
    letGoLost: away,
    closeRun: away,
    resolveDependents: away,
    linkRefs: away,
    deliver: away,
    walkEvents: away,
    serveLimit: away,
    lookAfterSlots: away,
    sawQueues: () => undefined,
    fireTriggers: away,
    removeRun: away,
    sweepKept: away,
    lookAtPeers: away,
  });
  const passTicks = async (count: number) => {
    for (let left = count; left > 0; left--) {
      while (ticks.length === 0) await turn();
      ticks.shift()?.();
    }
    while (ticks.length === 0) await turn();
  };
  loops.start();
  await passTicks(29);
  // One of what the stages say, one of the engine's.
  expect(told).toHaveLength(2);
  await passTicks(30);
  expect(told).toHaveLength(4);
  loops.close();
  await memory.close();
});
