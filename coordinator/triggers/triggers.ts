import type { Partition, RunId } from "#shared/domain/ids.ts";
import type { Clock, Random } from "#shared/ports.ts";
import type { RegisteredTrigger } from "#shared/protocol/api.ts";
import type { Manifest } from "#shared/protocol/manifest.ts";
import type { TriggerView } from "#shared/protocol/trigger-views.ts";
import type { DraftWrite, View } from "../engine/move.ts";
import { projectsIndex } from "../records.ts";
import { mergeRange } from "../state/merge-range.ts";
import { allPartitions } from "../state/projects.ts";
import { checkCron } from "./cron.ts";
import { type FireDueOutcome, fireDue } from "./fire-due.ts";
import { fireTrigger, type ManualFiring, receiveWebhook, type TriggerName } from "./fire-trigger.ts";
import { planTriggers, prepareSecrets } from "./plan-triggers.ts";
import { rotateSecret } from "./rotate-secret.ts";
import type { Delivery } from "./signature.ts";
import { type FireDeps, readTriggers } from "./start-run.ts";
import { triggerView } from "./trigger-records.ts";

interface Place {
  readonly score: number;
  readonly member: string;
}

export interface Triggers {
  /** Any coordinator may call this at any time: once a second, and when the next occasion has come, is right. */
  fireDue(): Promise<FireDueOutcome>;
  fireTrigger(request: ManualFiring): Promise<{ run: RunId; created: boolean } | null>;
  receiveWebhook(request: TriggerName & { readonly delivery: Delivery }): Promise<{ run: RunId; created: boolean }>;
  rotateSecret(
    request: TriggerName & { readonly by: string },
  ): Promise<{ readonly secret: string; readonly olderHoldUntilMs: number } | null>;
  listTriggers(query: { limit: number; after?: Place }): Promise<{ rows: readonly TriggerView[]; next: Place | null }>;
}

export function createTriggers(deps: FireDeps & { readonly random: Random }): Triggers {
  return {
    fireDue: () => fireDue(deps),
    fireTrigger: (request) => fireTrigger(deps, request),
    receiveWebhook: (request) => receiveWebhook(deps, request),
    rotateSecret: (request) => rotateSecret(deps, request),
    listTriggers: (query) => listTriggers(deps, query),
  };
}

/** What the registry is handed of triggers, for the commit of a registration. */
export const createTriggerPlanner = (deps: { readonly clock: Clock; readonly random: Random }) => ({
  check(manifest: Manifest): void {
    for (const trigger of manifest.triggers) {
      if (trigger.kind === "cron") checkCron(trigger.name, trigger, deps.clock.nowMs());
    }
  },
  prepare: (manifest: Manifest): object => prepareSecrets(deps, manifest),
  plan: (
    view: View,
    input: { readonly partition: Partition; readonly manifest: Manifest; readonly prepared: object },
  ): { readonly writes: readonly DraftWrite[]; readonly registered: readonly RegisteredTrigger[] } =>
    planTriggers(view, input),
});

async function listTriggers(
  deps: FireDeps,
  query: { limit: number; after?: Place },
): Promise<{ rows: readonly TriggerView[]; next: Place | null }> {
  const projects = await mergeRange(deps.engine, allPartitions(deps.partitions), projectsIndex, query);
  const rows: TriggerView[] = [];
  for (const { score, member } of projects) {
    const { record } = await readTriggers(deps, member);
    for (const trigger of record?.triggers ?? []) rows.push(triggerView(member, trigger));
    if (rows.length >= query.limit) return { rows, next: { score, member } };
  }
  // No page ended early, but there may be more projects than one page looks at.
  const last = projects.at(-1);
  return { rows, next: projects.length === query.limit && last ? { score: last.score, member: last.member } : null };
}
