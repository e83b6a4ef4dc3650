import type { Random } from "#shared/ports.ts";
import type { Move, Mover } from "../engine/move.ts";
import { auditWrite } from "../state/audit.ts";
import { projectPartition } from "../state/projects.ts";
import { newSecret } from "./signature.ts";
import { type ProjectTriggers, triggersKey, triggerView, withTrigger } from "./trigger-records.ts";

/** How long the secrets before a new one still hold, so that the sender can be changed over without a lost delivery. */
const olderHoldMs = 24 * 3600_000;
const secretsMax = 5;

interface Rotation {
  readonly project: string;
  readonly trigger: string;
  readonly secret: string;
  readonly by: string;
  readonly partitions: number;
}

interface Rotated {
  readonly secret: string;
  readonly olderHoldUntilMs: number;
}

const rotateMove: Move<Rotation, Rotated | null> = {
  name: "rotateSecret",
  // What it answers without writing must not rest on a record that another coordinator has changed.
  fresh: true,
  reads: (input) => [triggersKey(projectPartition(input.partitions, input.project), input.project)],
  decide(view, input) {
    const partition = projectPartition(input.partitions, input.project);
    const key = triggersKey(partition, input.project);
    const record = view.get<ProjectTriggers>(key);
    const trigger = record?.triggers.find(({ name, kind }) => name === input.trigger && kind === "webhook");
    if (!record || !trigger) return { transactions: [], answer: () => null };
    const untilMs = Math.round(view.nowMs) + olderHoldMs;
    const answer = (): Rotated => ({ secret: input.secret, olderHoldUntilMs: untilMs });
    if (trigger.secrets[0]?.secret === input.secret) return { transactions: [], answer };
    const older = trigger.secrets
      .filter((held) => held.untilMs === null || held.untilMs > view.nowMs)
      .map(({ secret, untilMs: until }) => ({ secret, untilMs: Math.min(until ?? untilMs, untilMs) }));
    const secrets = [{ secret: input.secret, untilMs: null }, ...older].slice(0, secretsMax);
    const audit = auditWrite(partition, {
      actor: input.by,
      action: "trigger.rotate",
      object: `${input.project}/${input.trigger}`,
      before: triggerView(input.project, trigger),
      after: { ...triggerView(input.project, trigger), secrets: secrets.length },
    });
    const value = withTrigger(record, { ...trigger, secrets });
    return { transactions: [{ checks: [], writes: [{ kind: "set", key, value }, audit] }], answer };
  },
};

/** A new signing secret for a webhook, shown this once; null when there is no such webhook. */
export function rotateSecret(
  deps: { readonly mover: Mover; readonly random: Random; readonly partitions: number },
  request: { readonly project: string; readonly trigger: string; readonly by: string },
): Promise<Rotated | null> {
  return deps.mover.move(projectPartition(deps.partitions, request.project), rotateMove, {
    ...request,
    secret: newSecret(deps.random),
    partitions: deps.partitions,
  });
}
