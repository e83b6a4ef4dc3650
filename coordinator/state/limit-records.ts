import { type Partition, partitionFor, type TaskId } from "#shared/domain/ids.ts";
import { type Key, keyIn } from "../engine/engine.ts";

/** C17: a limit of a project, in a partition of its own. */
export interface Limit {
  readonly partition: Partition;
  readonly project: string;
  readonly name: string;
}

/** What is told of a limit that something holds or waits under: the `max` that was last asked for. */
export interface LimitRow {
  readonly max: number;
}

export const limitOf = (partitions: number, { project, name }: { project: string; name: string }): Limit => ({
  partition: partitionFor(partitions, "limit", project, name),
  project,
  name,
});

export const limitMember = ({ project, name }: { project: string; name: string }): string => `${project}/${name}`;

export function parseLimit(partition: Partition, member: string): Limit {
  const [project = "", name = ""] = member.split("/");
  return { partition, project, name };
}

/** Limits under which tasks hold a slot or wait for one. */
export const limitsIndex = (partition: Partition): Key => keyIn(partition, "limits");
/** Slots that are held. */
export const holdersIndex = (limit: Limit): Key => keyIn(limit.partition, `holders/${limitMember(limit)}`);
/** Slots that are waited for, by whose turn it is; the value is the `max` under which they are taken. */
export const waitersIndex = (limit: Limit): Key => keyIn(limit.partition, `waiters/${limitMember(limit)}`);
/** Tasks of a partition's runs that hold a slot or wait for one, wherever their limits are. */
export const slotsIndex = (partition: Partition): Key => keyIn(partition, "slots");

/** A slot as a member of its limit's indexes. A task that asks anew asks for another. */
export const slotMember = (task: TaskId, ask: number): string => `${ask}/${task}`;

export function parseSlot(member: string): { readonly task: TaskId; readonly ask: number } {
  const slash = member.indexOf("/");
  return { ask: Number(member.slice(0, slash)), task: member.slice(slash + 1) as TaskId };
}
