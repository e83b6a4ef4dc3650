import { LRUCache } from "lru-cache";
import { fitsPython } from "#shared/domain/python-versions.ts";
import type { TaskOptions } from "#shared/protocol/common.ts";
import type { Manifest, WorkflowType } from "#shared/protocol/manifest.ts";

/**
 * A queue is named by what its tasks require: kind, pool, targets and labels in canonical form, and for a while the agent
 * that had the task before. Matching an agent is choosing queues, never scanning tasks.
 */
export interface Requirement {
  readonly kind: "task" | "workflow";
  readonly pool: string;
  /** What a binary is there for: a platform, or a platform and the Pythons that it needs (`linux-x64 python>=3.11`). */
  readonly targets: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** C25: no other agent may take from it. */
  readonly agent?: string;
}

export interface Offer {
  readonly agent?: string;
  readonly pool: string;
  readonly platform: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The versions of CPython on its machine. */
  readonly pythons?: readonly string[];
}

export const defaultPool = "default";

export function queueName(requirement: Requirement): string {
  const labels = Object.entries(requirement.labels).sort(([a], [b]) => (a < b ? -1 : 1));
  const parts = [requirement.kind, requirement.pool, [...requirement.targets].sort(), labels];
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
  { binaries }: Pick<Manifest, "binaries">,
  options: TaskOptions,
): Requirement {
  return {
    kind,
    pool: options.pool ?? defaultPool,
    targets: Object.entries(binaries).map(([platform, { python }]) => targetName(platform, python?.requires)),
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
  const [kind, pool, targets, labels, agent] = JSON.parse(queue) as [
    Requirement["kind"],
    string,
    string[],
    [string, string][],
    string?,
  ];
  return { kind, pool, targets, labels: Object.fromEntries(labels), ...(agent === undefined ? {} : { agent }) };
}

const beforeNeed = " python";
const targetName = (platform: string, python?: string): string =>
  python === undefined ? platform : platform + beforeNeed + python;

export function parseTarget(target: string): { readonly platform: string; readonly python: string | null } {
  const [platform = "", python = null] = target.split(beforeNeed);
  return { platform, python };
}

function fitsTarget(offer: Offer, target: string): boolean {
  const { platform, python } = parseTarget(target);
  if (platform !== offer.platform) return false;
  return python === null || (offer.pythons ?? []).some((version) => fitsPython(version, python));
}

export function satisfies(offer: Offer, requirement: Requirement): boolean {
  return (
    (requirement.agent === undefined || requirement.agent === offer.agent) &&
    offer.pool === requirement.pool &&
    requirement.targets.some((target) => fitsTarget(offer, target)) &&
    Object.entries(requirement.labels).every(([name, value]) => offer.labels[name] === value)
  );
}

/** C25: ageing is linear, one step of priority outweighs a minute of waiting, nothing is ever rescored. */
export const queueScore = (readyAtMs: number, priority: number): number => readyAtMs - priority * 60_000;
