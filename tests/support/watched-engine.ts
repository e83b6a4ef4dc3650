import { type Engine, type Key, leaseKey, leasesIndex, queueIndex, queuesIndex } from "#coordinator/engine/engine.ts";
import type { Partition } from "#shared/domain/ids.ts";

/** An engine of which every key that was ever written is known, so that all that it holds can be named. */
export interface WatchedEngine extends Engine {
  /** `<key>` of each record, counter and log that is there, `<index> <member>` of each row; sorted. */
  contents(): Promise<string[]>;
}

export function watchEngine(engine: Engine): WatchedEngine {
  const records = new Set<Key>();
  const indexes = new Set<Key>();
  const logs = new Set<Key>();
  const note = (partition: Partition, write: Parameters<Engine["commit"]>[1][number]["writes"][number]) => {
    indexes.add(leasesIndex(partition)).add(queuesIndex(partition));
    if (write.kind === "set") records.add(write.key);
    if (write.kind === "add") records.add(write.counter);
    if (write.kind === "rank") indexes.add(write.index);
    if (write.kind === "append") logs.add(write.log);
    if (write.kind === "enqueue") indexes.add(queueIndex(partition, write.queue));
  };
  return {
    get: (keys) => engine.get(keys),
    range: (index, query) => engine.range(index, query),
    read: (...args) => engine.read(...args),
    listen: (topics, signal) => engine.listen(topics, signal),
    close: () => engine.close(),
    async commit(partition, batch, claim) {
      for (const { writes } of batch) for (const write of writes) note(partition, write);
      const committed = await (claim ? engine.commit(partition, batch, claim) : engine.commit(partition, batch));
      for (const { member } of committed.claims) records.add(leaseKey(partition, member));
      return committed;
    },
    async contents() {
      const { found } = await engine.get([...records]);
      const names: string[] = found.filter(({ stamp }) => stamp !== null).map(({ key }) => key);
      for (const index of indexes) {
        const { rows } = await engine.range(index, { limit: 100_000 });
        names.push(...rows.map(({ member }) => `${index} ${member}`));
      }
      for (const log of logs) if ((await engine.read(log, 0, 1)).length > 0) names.push(log);
      return names.sort();
    },
  };
}
