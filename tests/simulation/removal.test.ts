import { describe, expect, it } from "vitest";
import { dayMs, hourMs, minuteMs } from "../support/retention-stand.ts";
import type { Cluster } from "./cluster.ts";
import { simulate } from "./simulate.ts";

/** What a cluster has that never had a run or an event: what it keeps for itself, and its project with the binary. */
const own =
  /^\{p\d+\}(watch|tick|epoch|paused|projects?|releases?|triggers|agents?|audit|peers|tally|kept\/agents|kept\/blobs \w+\/rel_)/;

const contentsOf = async ({ room }: Cluster): Promise<string[]> =>
  (await room.written.contentsOf(room.base)).filter((name) => !own.test(name));

/** Nobody is there for a while; then coordinators come, look for what is past its time, and end. */
async function sweepAfter(cluster: Cluster, passMs: number): Promise<void> {
  const { scheduler } = cluster;
  await scheduler.runUntil(scheduler.nowMs + passMs);
  cluster.keepCoordinators();
  await scheduler.runUntil(scheduler.nowMs + 5 * minuteMs);
  cluster.close();
}

describe("whatever a simulated cluster has lived through", () => {
  it.each([
    ...[1, 2, 3, 5, 8, 17, 120].map((seed) => ({ seed, failOverMs: 0 })),
    ...[310, 311, 312].map((seed) => ({ seed, failOverMs: 8_000 })),
  ])(
    "C9 is all gone when its time is over (seed $seed, failOverMs $failOverMs)",
    async (options) => {
      const { cluster, wrong } = await simulate(options);
      expect(wrong).toEqual([]);
      expect((await contentsOf(cluster)).length).toBeGreaterThan(100);
      for (const passMs of [31 * dayMs, hourMs, hourMs, hourMs, hourMs, 25 * hourMs, 2 * hourMs]) {
        await sweepAfter(cluster, passMs);
      }
      expect(await contentsOf(cluster)).toEqual([]);
      expect(cluster.broken).toEqual([]);
    },
    60_000,
  );
});
