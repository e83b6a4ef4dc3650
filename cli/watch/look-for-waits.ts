import { setTimeout as sleep } from "node:timers/promises";
import { type CallKey, type RunId, workflowKey } from "#shared/domain/ids.ts";
import type { Client } from "../client.ts";
import type { RunProgress } from "./run-progress.ts";

/** Nothing is asked of what has waited for less. */
const firstAfterMs = 2_000;
const againMs = 3_000;
const againMsMax = 30_000;
/** Calls that are asked about at a time; the first ones stand for those after them. */
const askedMax = 10;

export interface Waiting {
  readonly run: RunId;
  readonly progress: RunProgress;
  readonly nowMs: () => number;
  readonly signal: AbortSignal;
  /** Told of each text once for each key; of the run's own workflow task under `@workflow`. */
  readonly onWaits: (key: string, waits: string) => void;
}

/**
 * Finds out what calls that do not begin wait for, until `signal` aborts: the journal tells that they were called, and then
 * nothing. More seldom when nothing waits. What cannot be found out is left unsaid.
 */
export async function lookForWaits(client: Client, waiting: Waiting): Promise<void> {
  const { progress, signal } = waiting;
  const told = new Map<string, string>();
  let pauseMs = againMs;
  await pause(firstAfterMs, signal);
  while (!signal.aborted && progress.ended === null) {
    const texts = await Promise.all(keysOf(waiting).map((key) => ask(client, waiting, key)));
    if (signal.aborted) return;
    for (const { key, waits } of texts) {
      progress.wait(key, waits);
      if (waits === null || told.get(key) === waits) continue;
      told.set(key, waits);
      waiting.onWaits(key, waits);
    }
    pauseMs = texts.some(({ waits }) => waits !== null) ? againMs : Math.min(2 * pauseMs, againMsMax);
    await pause(pauseMs, signal);
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => undefined);

/** Task calls that may wait; the run's own workflow task when it has nothing else to wait for. */
function keysOf({ progress, nowMs }: Waiting): CallKey[] {
  const open = progress.calls.filter((call) => call.endedAtMs === null);
  if (open.length === 0) return [workflowKey];
  const since = nowMs() - firstAfterMs;
  return open
    .filter((call) => call.kind === "task" && call.said === null && call.openedAtMs <= since)
    .slice(0, askedMax)
    .map(({ key }) => key as CallKey);
}

async function ask(
  client: Client,
  { run, signal }: Waiting,
  key: CallKey,
): Promise<{ key: string; waits: string | null }> {
  const view = await client.call("getTask", { params: { run, key }, signal }).catch(() => null);
  return { key, waits: view?.waits ?? null };
}
