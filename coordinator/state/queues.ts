import { LRUCache } from "lru-cache";
import type { Platform, TaskOptions } from "#shared/protocol/common.ts";
import type { WorkflowType } from "#shared/protocol/manifest.ts";

/**
 * A queue is named by what its tasks require: kind, pool, platforms and labels in canonical form. Matching an agent is
 * choosing queues, never scanning tasks.
 */
export interface Requirement {
  readonly kind: "task" | "workflow";
  readonly pool: string;
  readonly platforms: readonly Platform[];
  readonly labels: Readonly<Record<string, string>>;
}

export interface Offer {
  readonly pool: string;
  readonly platform: string;
  readonly labels: Readonly<Record<string, string>>;
}

export const defaultPool = "default";

export function queueName(requirement: Requirement): string {
  const labels = Object.entries(requirement.labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([requirement.kind, requirement.pool, [...requirement.platforms].sort(), labels]);
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
  const [kind, pool, platforms, labels] = JSON.parse(queue) as [
    Requirement["kind"],
    string,
    Platform[],
    [string, string][],
  ];
  return { kind, pool, platforms, labels: Object.fromEntries(labels) };
}

export function satisfies(offer: Offer, requirement: Requirement): boolean {
  return (
    offer.pool === requirement.pool &&
    requirement.platforms.some((platform) => platform === offer.platform) &&
    Object.entries(requirement.labels).every(([name, value]) => offer.labels[name] === value)
  );
}

/** C25: ageing is linear, one step of priority outweighs a minute of waiting, nothing is ever rescored. */
export const queueScore = (readyAtMs: number, priority: number): number => readyAtMs - priority * 60_000;
