import { LRUCache } from "lru-cache";
import type { Platform, TaskOptions } from "#shared/protocol/common.ts";
import type { WorkflowType } from "#shared/protocol/manifest.ts";

/**
 * A queue is named by what its tasks require: kind, pool, platforms and labels in canonical form, and for a while the agent
 * that had the task before. Matching an agent is choosing queues, never scanning tasks.
 */
export interface Requirement {
  readonly kind: "task" | "workflow";
  readonly pool: string;
  readonly platforms: readonly Platform[];
  readonly labels: Readonly<Record<string, string>>;
  /** C25: no other agent may take from it. */
  readonly agent?: string;
}

export interface Offer {
  readonly agent?: string;
  readonly pool: string;
  readonly platform: string;
  readonly labels: Readonly<Record<string, string>>;
}

export const defaultPool = "default";

export function queueName(requirement: Requirement): string {
  const labels = Object.entries(requirement.labels).sort(([a], [b]) => (a < b ? -1 : 1));
  const parts = [requirement.kind, requirement.pool, [...requirement.platforms].sort(), labels];
  return JSON.stringify(requirement.agent === undefined ? parts : [...parts, requirement.agent]);
}

/** The queue of one agent for what the tasks of another queue require. */
export const queueOfAgent = (queue: string, agent: string): string => queueName({ ...parseQueue(queue), agent });

/** The queue from which any agent that fits takes: that of an agent for so much less, or the queue itself. */
export function classQueue(queue: string): string {
  const { agent, ...requirement } = parseQueue(queue);
  return agent === undefined ? queue : queueName(requirement);
}

export function requirementOf(
  kind: "task" | "workflow",
  platforms: readonly string[],
  options: TaskOptions,
): Requirement {
  return {
    kind,
    pool: options.pool ?? defaultPool,
    platforms: platforms as readonly Platform[],
    labels: options.labels ?? {},
  };
}

/** What a workflow's declaration says of how its tasks are executed: C20, `isolate` gives it processes of its own. */
export const workflowOptions = (type: WorkflowType): TaskOptions => ({
  ...(type.pool ? { pool: type.pool } : {}),
  ...(type.labels ? { labels: type.labels } : {}),
  ...(type.isolate ? { process: "fresh" } : {}),
});

/** Queues are few, and looked at in every commit. */
const parsedQueues = new LRUCache<string, Requirement>({ max: 5_000 });

export function parseQueue(queue: string): Requirement {
  const known = parsedQueues.get(queue);
  if (known) return known;
  const requirement = readQueue(queue);
  parsedQueues.set(queue, requirement);
  return requirement;
}

function readQueue(queue: string): Requirement {
  const [kind, pool, platforms, labels, agent] = JSON.parse(queue) as [
    Requirement["kind"],
    string,
    Platform[],
    [string, string][],
    string?,
  ];
  return { kind, pool, platforms, labels: Object.fromEntries(labels), ...(agent === undefined ? {} : { agent }) };
}

export function satisfies(offer: Offer, requirement: Requirement): boolean {
  return (
    (requirement.agent === undefined || requirement.agent === offer.agent) &&
    offer.pool === requirement.pool &&
    requirement.platforms.some((platform) => platform === offer.platform) &&
    Object.entries(requirement.labels).every(([name, value]) => offer.labels[name] === value)
  );
}

/** C25: ageing is linear, one step of priority outweighs a minute of waiting, nothing is ever rescored. */
export const queueScore = (readyAtMs: number, priority: number): number => readyAtMs - priority * 60_000;
