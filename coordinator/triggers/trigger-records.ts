import type { Partition, RunId } from "#shared/domain/ids.ts";
import type { TriggerView } from "#shared/protocol/trigger-views.ts";
import { type Key, keyIn } from "../engine/engine.ts";

/** All triggers of a project, as its current release declares them, in one record beside the project's. */
export interface ProjectTriggers {
  readonly project: string;
  readonly triggers: readonly TriggerRecord[];
}

export interface TriggerRecord {
  readonly name: string;
  readonly kind: "cron" | "webhook";
  readonly workflow: string;
  readonly cron?: string;
  readonly timezone?: string;
  /**
   * Signing secrets of a webhook, newest first; older ones hold until `untilMs`. They are needed in clear to verify with
   * and are stored so; encrypting them at rest comes with the coordinator's master key.
   */
  readonly secrets: readonly { readonly secret: string; readonly untilMs: number | null }[];
  /** The occasion that is to be fired next; also the trigger's score in the due index. */
  readonly nextAtMs: number | null;
  readonly lastFiredAtMs: number | null;
  readonly lastRun: RunId | null;
  readonly lastProblem: string | null;
}

export const triggersKey = (partition: Partition, project: string): Key => keyIn(partition, `triggers/${project}`);
/** Cron triggers, as `<project>/<name>`, ranked by their next occasion. */
export const dueIndex = (partition: Partition): Key => keyIn(partition, "triggers-due");

export const dueMember = (project: string, trigger: string): string => `${project}/${trigger}`;
export function parseDueMember(member: string): { readonly project: string; readonly trigger: string } {
  const slash = member.indexOf("/");
  return { project: member.slice(0, slash), trigger: member.slice(slash + 1) };
}

export const webhookPath = (project: string, trigger: string): string => `/v1/triggers/${project}/${trigger}/webhook`;

export const triggerView = (project: string, record: TriggerRecord): TriggerView => ({
  project,
  name: record.name,
  kind: record.kind,
  workflow: record.workflow,
  ...(record.cron === undefined ? {} : { cron: record.cron }),
  ...(record.timezone === undefined ? {} : { timezone: record.timezone }),
  ...(record.kind === "webhook" ? { url: webhookPath(project, record.name) } : {}),
  nextAtMs: record.nextAtMs,
  lastFiredAtMs: record.lastFiredAtMs,
  lastRun: record.lastRun,
  lastProblem: record.lastProblem,
});

/** The record with one of its triggers replaced. */
export const withTrigger = (record: ProjectTriggers, changed: TriggerRecord): ProjectTriggers => ({
  ...record,
  triggers: record.triggers.map((trigger) => (trigger.name === changed.name ? changed : trigger)),
});
