import { SaltError } from "#shared/domain/errors.ts";
import { sha256 } from "#shared/domain/ids.ts";
import type { IndexRow } from "../engine/engine.ts";
import { allPartitions } from "../state/projects.ts";
import { latestOccasion } from "./cron.ts";
import { noteFiring } from "./record-firing.ts";
import { type FireDeps, findTrigger, startRun } from "./start-run.ts";
import { dueIndex, parseDueMember, type TriggerRecord } from "./trigger-records.ts";

/**
 * Fires the cron triggers that are due. Any number of coordinators may do so at once, at any time:
 *
 * F1  The run of an occasion has an id derived from trigger and occasion, so opening it again is the same run.
 * F2  A trigger moves on to its next occasion only after the run of this one is durable.
 * F3  Of occasions that passed while nobody looked, the latest is fired, the earlier ones are not.
 */
export interface FireDueOutcome {
  readonly fired: number;
  /** Triggers that stay due because the engine or the blob store could not be reached. */
  readonly postponed: readonly { readonly trigger: string; readonly error: unknown }[];
  /** Until the next occasion; null when no trigger waits for one. What is still due is not counted: a tick looks again. */
  readonly nextInMs: number | null;
}

/** Triggers that one tick fires in each partition; more are fired by the next. */
const firedPerTickMax = 100;

export async function fireDue(deps: FireDeps): Promise<FireDueOutcome> {
  let fired = 0;
  let nextInMs = Infinity;
  const postponed: { trigger: string; error: unknown }[] = [];
  for (const partition of allPartitions(deps.partitions)) {
    const { nowMs, rows } = await deps.engine.range(dueIndex(partition), { limit: firedPerTickMax });
    const due = rows.filter((row) => row.score <= nowMs);
    for (const row of due) {
      try {
        await fireOccasion(deps, row, nowMs);
        fired += 1;
      } catch (error) {
        postponed.push({ trigger: row.member, error });
      }
    }
    // What was fired has moved on, perhaps to before all that was read.
    const left =
      due.length === 0 ? { nowMs, rows } : await deps.engine.range(dueIndex(partition), { limit: firedPerTickMax });
    for (const { score } of left.rows) if (score > left.nowMs) nextInMs = Math.min(nextInMs, score - left.nowMs);
  }
  return { fired, postponed, nextInMs: nextInMs === Infinity ? null : nextInMs };
}

async function fireOccasion(deps: FireDeps, row: IndexRow, nowMs: number): Promise<void> {
  const { project, trigger: name } = parseDueMember(row.member);
  const { trigger } = await findTrigger(deps, { project, trigger: name });
  if (!trigger || trigger.nextAtMs === null || trigger.nextAtMs > nowMs) return;
  const { cron = "", timezone = "UTC" } = trigger;
  const occasionMs = latestOccasion({ cron, timezone }, trigger.nextAtMs, nowMs);
  const note = { project, trigger: name, firedAtMs: Math.round(nowMs), occasionMs };
  try {
    const { run } = await openOccasion(deps, project, trigger, occasionMs);
    await noteFiring(deps, { ...note, run, problem: null });
  } catch (error) {
    if (!(error instanceof SaltError) || error.retryable || error.code === "Internal") throw error;
    await noteFiring(deps, { ...note, run: null, problem: error.message });
  }
}

function openOccasion(deps: FireDeps, project: string, trigger: TriggerRecord, occasionMs: number) {
  const source = `cron:${project}/${trigger.name}`;
  const key = new Date(occasionMs).toISOString();
  return startRun(deps, {
    project,
    trigger,
    by: { kind: "cron", name: trigger.name, by: source },
    identity: { source, key, digest: sha256(key) },
  });
}
