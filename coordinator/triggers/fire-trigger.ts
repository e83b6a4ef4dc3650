import { SaltError } from "#shared/domain/errors.ts";
import { type RunId, sha256 } from "#shared/domain/ids.ts";
import { parseJsonText } from "../state/json-text.ts";
import { noteFiring } from "./record-firing.ts";
import { type Delivery, isSigned, isTimely } from "./signature.ts";
import { type FireDeps, findTrigger, startRun } from "./start-run.ts";
import type { TriggerRecord } from "./trigger-records.ts";

export interface TriggerName {
  readonly project: string;
  readonly trigger: string;
}

export interface ManualFiring extends TriggerName {
  readonly by: string;
  /** Takes the place of the input that the trigger declares. */
  readonly input?: { readonly value: unknown; readonly text: string };
  readonly idempotencyKey?: string;
}

/** Fires a trigger by hand; null when there is none such. */
export async function fireTrigger(
  deps: FireDeps,
  request: ManualFiring,
): Promise<{ run: RunId; created: boolean } | null> {
  const { project, by, input, idempotencyKey } = request;
  const { nowMs, trigger } = await findTrigger(deps, request);
  if (!trigger) return null;
  const source = `fire:${project}/${trigger.name}`;
  const digest = sha256(input?.text ?? "");
  const outcome = await startRun(deps, {
    project,
    trigger,
    by: { kind: "manual", name: trigger.name, by },
    ...(input ? { input } : {}),
    ...(idempotencyKey === undefined ? {} : { identity: { source, key: idempotencyKey, digest } }),
  });
  await note(deps, project, trigger, nowMs, outcome.run);
  return outcome;
}

/**
 * Fires a webhook trigger by a signed delivery; its body, any JSON, is the run's input. `BadSignature` when nobody who
 * knows a secret of the trigger signed just this within five minutes of now, and also when there is no such trigger, so
 * that the open path does not tell which exist. The delivery's id is its identity: the same again is the same run.
 */
export async function receiveWebhook(
  deps: FireDeps,
  request: TriggerName & { readonly delivery: Delivery },
): Promise<{ run: RunId; created: boolean }> {
  const { project, delivery } = request;
  const { nowMs, trigger } = await findTrigger(deps, request);
  const secrets = (trigger?.secrets ?? [])
    .filter(({ untilMs }) => untilMs === null || untilMs > nowMs)
    .map(({ secret }) => secret);
  const well = /^[!-~]{1,255}$/.test(delivery.id) && isTimely(delivery.timestamp, nowMs);
  if (!trigger || !well || !isSigned(secrets, delivery)) {
    throw new SaltError("BadSignature", "Cannot accept the delivery: its signature or time is not valid here.", {
      next: "Sign by the rules of Standard Webhooks with the secret that registering the release showed.",
    });
  }
  const { value, text } = parseJsonText(delivery.body);
  const source = `webhook:${project}/${trigger.name}`;
  const outcome = await startRun(deps, {
    project,
    trigger,
    by: { kind: "webhook", name: trigger.name, by: source },
    input: { value, text },
    identity: { source, key: delivery.id, digest: sha256(delivery.body) },
  });
  if (outcome.created) await note(deps, project, trigger, nowMs, outcome.run);
  return outcome;
}

const note = (deps: FireDeps, project: string, trigger: TriggerRecord, nowMs: number, run: RunId): Promise<void> =>
  noteFiring(deps, {
    project,
    trigger: trigger.name,
    firedAtMs: Math.round(nowMs),
    occasionMs: null,
    run,
    problem: null,
  });
