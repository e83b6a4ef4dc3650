import type { Partition, TaskId } from "#shared/domain/ids.ts";
import type { AttemptName } from "#shared/protocol/agent.ts";
import { type Engine, type LeaseRecord, leaseKey, leasesIndex } from "../engine/engine.ts";

const pageRows = 1_000;

/**
 * Answers which leases the sessions of an agent hold. Those who ask while leases are being looked through are answered
 * together by the next look, which begins after they asked: A26, a herd of agents costs a few looks and not one each.
 */
export function createHeldBy(engine: Engine, partitions: readonly Partition[]) {
  let next: Promise<Map<string, AttemptName[]>> | null = null;
  let current: Promise<unknown> = Promise.resolve();

  return async (agent: string): Promise<readonly AttemptName[]> => {
    if (next === null) {
      const look = current.then(() => {
        next = null;
        return heldByAgents(engine, partitions);
      });
      next = look;
      current = look.catch(() => undefined);
    }
    return (await next).get(agent) ?? [];
  };
}

async function heldByAgents(engine: Engine, partitions: readonly Partition[]): Promise<Map<string, AttemptName[]>> {
  const held = new Map<string, AttemptName[]>();
  const looks = partitions.map(async (partition) => {
    for await (const { agent, ...lease } of leasesIn(engine, partition)) {
      const mine = held.get(agent);
      if (mine) mine.push(lease);
      else held.set(agent, [lease]);
    }
  });
  await Promise.all(looks);
  return held;
}

async function* leasesIn(engine: Engine, partition: Partition): AsyncGenerator<AttemptName & { agent: string }> {
  let after: { score: number; member: string } | undefined;
  do {
    const { rows } = await engine.range(leasesIndex(partition), { limit: pageRows, ...(after ? { after } : {}) });
    const { found } = await engine.get(rows.map(({ member }) => leaseKey(partition, member)));
    for (const [index, { stamp, value }] of found.entries()) {
      const { holder } = JSON.parse(value ?? '{"holder":""}') as LeaseRecord;
      const agent = holder.slice(0, Math.max(0, holder.indexOf(":")));
      yield { agent, task: rows[index]?.member as TaskId, fence: Number(stamp) };
    }
    after = rows.length === pageRows ? rows.at(-1) : undefined;
  } while (after);
}
