import { setTimeout as sleep } from "node:timers/promises";
import { type CallKey, type RunId, workflowKey } from "#shared/domain/ids.ts";
import type { Client } from "../client.ts";
import type { RunProgress } from "./run-progress.ts";

const tickMs = 1_000;
/** Ticks for which a call has been open before it is asked about. */
const firstAfter = 2;
/** Ticks until it is asked about again: as long as it waits, and at most when it does not. */
const againAfter = 3;
const againAfterMax = 30;
/** Calls that are asked about at a time; the first ones stand for those after them. */
const askedMax = 10;

export interface Waiting {
  readonly run: RunId;
  readonly progress: RunProgress;
  readonly signal: AbortSignal;
  /** Told of each text once for each key; of the run's own workflow task under `@workflow`. */
  readonly onWaits: (key: string, waits: string) => void;
}

/**
 * Finds out what calls that do not begin wait for, until `signal` aborts: the journal tells that they were called, and then
 * nothing. What runs is asked about ever more seldom. What cannot be found out is left unsaid.
 */
export async function lookForWaits(client: Client, waiting: Waiting): Promise<void> {
  const { progress, signal } = waiting;
  const told = new Map<string, string>();
  let looks: readonly Look[] = [];
  for (;;) {
    await sleep(tickMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted || progress.ended !== null) return;
    const before = new Map(looks.map((look) => [look.key, look]));
    const next = keysOf(progress).map((key) => before.get(key) ?? { key, left: firstAfter + 1, pause: againAfter });
    looks = await Promise.all(next.map((look) => step(client, waiting, look, told)));
  }
}

/** A call that is looked at. */
interface Look {
  readonly key: CallKey;
  /** Ticks until it is asked about. */
  readonly left: number;
  /** Ticks after that until it is asked about again, if it does not wait. */
  readonly pause: number;
}

async function step(client: Client, waiting: Waiting, look: Look, told: Map<string, string>): Promise<Look> {
  const { key, left, pause } = look;
  if (left > 1) return { ...look, left: left - 1 };
  const { run, progress, signal } = waiting;
  const view = await client.call("getTask", { params: { run, key }, signal }).catch(() => null);
  const waits = view?.waits ?? null;
  if (signal.aborted) return look;
  progress.wait(key, waits);
  if (waits === null) return { key, left: pause, pause: Math.min(2 * pause, againAfterMax) };
  if (told.get(key) !== waits) waiting.onWaits(key, waits);
  told.set(key, waits);
  return { key, left: againAfter, pause: againAfter };
}

/** Task calls that may wait; the run's own workflow task when it has nothing else to wait for. */
function keysOf(progress: RunProgress): CallKey[] {
  const open = progress.calls.filter((call) => call.endedAtMs === null);
  if (open.length === 0) return [workflowKey];
  return open
    .filter((call) => call.kind === "task" && call.said === null)
    .slice(0, askedMax)
    .map(({ key }) => key as CallKey);
}
