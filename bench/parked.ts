import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "#cli/client.ts";
import { openRun } from "./runs.ts";

const parkWithinMs = 120_000;
const openAtOnce = 20;

/** Opens so many runs that wait for a signal, and waits until each is parked. */
export async function openParked(client: Client, count: number): Promise<string[]> {
  const runs: string[] = [];
  while (runs.length < count) {
    const batch = Math.min(openAtOnce, count - runs.length);
    runs.push(...(await Promise.all(Array.from({ length: batch }, () => openRun(client, "waiting")))));
  }
  const byMs = performance.now() + parkWithinMs;
  for (const run of runs) {
    for (;;) {
      const { status } = await client.call("getRun", { params: { run } });
      if (status === "parked") break;
      if (performance.now() > byMs) throw new Error(`Run ${run} is ${status} after ${parkWithinMs} ms, not parked.`);
      await sleep(20);
    }
  }
  return runs;
}
