import { describe, expect, it } from "vitest";
import type { RunId } from "#shared/domain/ids.ts";
import { partitionAt } from "#shared/domain/ids.ts";
import { memoryBlobs } from "../../tests/support/memory-blobs.ts";
import { RandomCluster } from "../../tests/support/random-cluster.ts";
import { dayMs, hourMs } from "../../tests/support/retention-stand.ts";
import { watchEngine } from "../../tests/support/watched-engine.ts";
import type { ManualClock } from "../engine/manual-clock.ts";
import { createMover } from "../engine/mover.ts";
import { keepBlobs } from "./keep-blobs.ts";
import { createRetention } from "./retention.ts";

const partition = partitionAt(0);

/** What a cluster has that never had a run or an event. */
const own = /^\{p0\}(watch|tick|paused|project|release|agent|agents|audit|kept\/agents|peers)\b/;

/** Time passes until the work is done. */
async function ticking<T>(clock: ManualClock, work: Promise<T>): Promise<T> {
  let done = false;
  const ended = work.finally(() => {
    done = true;
  });
  while (!done) {
    await new Promise((resolve) => setImmediate(resolve));
    clock.pass(1);
  }
  return ended;
}

describe("whatever a random cluster has lived through", () => {
  it.each([1, 2, 3, 5, 8, 17, 120])("C9 is all gone when its time is over (seed %i)", async (seed) => {
    const cluster = new RandomCluster(seed);
    const watched = watchEngine({ ...cluster.engine });
    Object.assign(cluster.engine, watched, { close: async () => undefined });
    const isQuiet = async () =>
      !(await watched.contents()).some((name) =>
        /^\{p0\}(closing|resolving|linking|outbox|walks|timers|leases|queues) /.test(name),
      );
    expect(await cluster.live(isQuiet)).toBe(true);
    await cluster.close();
    expect((await watched.contents()).filter((name) => !own.test(name)).length).toBeGreaterThan(20);

    const { clock, random } = cluster;
    const mover = createMover({ engine: watched, clock, random });
    const store = memoryBlobs();
    const blobs = keepBlobs({ blobs: store, mover, clock, partitions: 1 });
    const retention = createRetention({ engine: watched, mover, store, blobs, clock, partitions: [partition] });
    for (const passMs of [31 * dayMs, hourMs, hourMs, hourMs, hourMs, 25 * hourMs, 2 * hourMs]) {
      clock.pass(passMs);
      while (await ticking(clock, retention.sweep(partition)));
      for (const name of await watched.contents()) {
        if (name.startsWith("{p0}removing ")) await ticking(clock, retention.removeRun(name.split(" ")[1] as RunId));
      }
    }
    expect((await watched.contents()).filter((name) => !own.test(name))).toEqual([]);
    mover.close();
  });
});
