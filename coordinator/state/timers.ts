import type { RunId, TaskId } from "#shared/domain/ids.ts";

/** What a member of a partition's timers index says is due. */
export type Due =
  /** A delayed task becomes ready. */
  | { readonly kind: "delay"; readonly task: TaskId }
  /** A sleep ends, or the wait for a signal or event times out. */
  | { readonly kind: "call"; readonly task: TaskId }
  /** A task has waited in its queue for as long as it may. */
  | { readonly kind: "queue"; readonly task: TaskId }
  /** A task has waited for the agent that had it before: any other may take it now. */
  | { readonly kind: "agent"; readonly task: TaskId }
  /** A run has lasted for as long as it may. */
  | { readonly kind: "run"; readonly run: RunId }
  /** A cancelled run has had its time to clean up. */
  | { readonly kind: "grace"; readonly run: RunId };

export const timerMember = (due: Due): string => `${due.kind}|${"task" in due ? due.task : due.run}`;

export function parseTimer(member: string): Due {
  const bar = member.indexOf("|");
  const kind = member.slice(0, bar) as Due["kind"];
  const id = member.slice(bar + 1);
  return kind === "run" || kind === "grace" ? { kind, run: id as RunId } : { kind, task: id as TaskId };
}
