import type { Partition } from "#shared/domain/ids.ts";
import type { Random } from "#shared/ports.ts";
import type { RegisteredTrigger } from "#shared/protocol/api.ts";
import type { Manifest, Trigger } from "#shared/protocol/manifest.ts";
import { at, type DraftWrite, type View } from "../engine/move.ts";
import { nextOccasion } from "./cron.ts";
import { newSecret } from "./signature.ts";
import {
  dueIndex,
  dueMember,
  type ProjectTriggers,
  type TriggerRecord,
  triggersKey,
  webhookPath,
} from "./trigger-records.ts";

/** Secrets by trigger, drawn before the decision so that the decision is pure. */
export interface PreparedSecrets {
  readonly secrets: ReadonlyMap<string, string>;
}

export function prepareSecrets(deps: { readonly random: Random }, manifest: Manifest): PreparedSecrets {
  const webhooks = manifest.triggers.filter(({ kind }) => kind === "webhook");
  return { secrets: new Map(webhooks.map(({ name }) => [name, newSecret(deps.random)])) };
}

/**
 * Replaces a project's triggers by those of a manifest. One that stays keeps its secrets, and its next occasion while
 * its rule is the same, so that registering neither skips nor repeats an occasion.
 */
export function planTriggers(
  view: View,
  input: { readonly partition: Partition; readonly manifest: Manifest; readonly prepared: object },
): { readonly writes: readonly DraftWrite[]; readonly registered: readonly RegisteredTrigger[] } {
  const { partition, manifest } = input;
  const { project } = manifest;
  const { secrets } = input.prepared as PreparedSecrets;
  const before = view.get<ProjectTriggers>(triggersKey(partition, project))?.triggers ?? [];
  const index = dueIndex(partition);
  const triggers = manifest.triggers.map((declared) => {
    const known = before.find(({ name, kind }) => name === declared.name && kind === declared.kind) ?? null;
    return plan(declared, known, secrets.get(declared.name) ?? "", view.nowMs);
  });
  const record: ProjectTriggers = { project, triggers };
  const writes: DraftWrite[] = [{ kind: "set", key: triggersKey(partition, project), value: record }];
  for (const { name, nextAtMs } of triggers) {
    const member = dueMember(project, name);
    if (nextAtMs !== null) writes.push({ kind: "rank", index, member, score: at(nextAtMs) });
  }
  for (const { name } of before) {
    if (triggers.some((trigger) => trigger.name === name && trigger.nextAtMs !== null)) continue;
    writes.push({ kind: "unrank", index, member: dueMember(project, name) });
  }
  return { writes, registered: triggers.map((trigger) => registeredOf(project, trigger, secrets)) };
}

function plan(declared: Trigger, known: TriggerRecord | null, secret: string, nowMs: number): TriggerRecord {
  const head = {
    name: declared.name,
    workflow: declared.workflow,
    lastFiredAtMs: known?.lastFiredAtMs ?? null,
    lastRun: known?.lastRun ?? null,
    lastProblem: null,
  };
  if (declared.kind === "webhook") {
    const secrets = known?.secrets ?? [{ secret, untilMs: null }];
    return { ...head, kind: "webhook", secrets, nextAtMs: null };
  }
  const { cron, timezone } = declared;
  const same = known && known.cron === cron && known.timezone === timezone;
  const nextAtMs = same ? known.nextAtMs : nextOccasion({ cron, timezone }, nowMs);
  return { ...head, kind: "cron", cron, timezone, secrets: [], nextAtMs };
}

/** The secret is shown when this very registration made it, also when its decision is made a second time. */
function registeredOf(project: string, trigger: TriggerRecord, made: ReadonlyMap<string, string>): RegisteredTrigger {
  if (trigger.kind === "cron") return { name: trigger.name, kind: "cron" };
  const url = webhookPath(project, trigger.name);
  const secret = trigger.secrets[0]?.secret;
  const shown = secret !== undefined && secret === made.get(trigger.name);
  return { name: trigger.name, kind: "webhook", url, ...(shown ? { secret } : {}) };
}
