import {
  type Engine,
  type Key,
  leaseKey,
  leasesIndex,
  queueIndex,
  queuesIndex,
  type Write,
} from "#coordinator/engine/engine.ts";
import type { Partition } from "#shared/domain/ids.ts";

/** Every key that was ever written to an engine, so that all that it holds can be named. */
export class WrittenKeys {
  readonly records = new Set<Key>();
  readonly indexes = new Set<Key>();
  readonly logs = new Set<Key>();

  note(partition: Partition, write: Write): void {
    this.indexes.add(leasesIndex(partition)).add(queuesIndex(partition));
    if (write.kind === "set") this.records.add(write.key);
    else if (write.kind === "add") this.records.add(write.counter);
    else if (write.kind === "rank") this.indexes.add(write.index);
    else if (write.kind === "append") this.logs.add(write.log);
    else if (write.kind === "enqueue") this.indexes.add(queueIndex(partition, write.queue));
  }

  noteGrant(partition: Partition, member: string): void {
    this.records.add(leaseKey(partition, member));
  }

  /** `<key>` of each record, counter and log that is there, `<index> <member>` of each row; sorted. */
  async contentsOf(engine: Engine): Promise<string[]> {
    const { found } = await engine.get([...this.records]);
    const names: string[] = found.filter(({ stamp }) => stamp !== null).map(({ key }) => key);
    for (const index of this.indexes) {
      const { rows } = await engine.range(index, { limit: 100_000 });
      names.push(...rows.map(({ member }) => `${index} ${member}`));
    }
    for (const log of this.logs) if ((await engine.read(log, 0, 1)).length > 0) names.push(log);
    return names.sort();
  }
}

export interface WatchedEngine extends Engine {
  /** As `WrittenKeys.contentsOf`. */
  contents(): Promise<string[]>;
}

export function watchEngine(engine: Engine): WatchedEngine {
  const written = new WrittenKeys();
  return {
    get: (keys) => engine.get(keys),
    range: (index, query) => engine.range(index, query),
    read: (...args) => engine.read(...args),
    listen: (topics, signal) => engine.listen(topics, signal),
    close: () => engine.close(),
    async commit(partition, batch, claim) {
      for (const { writes } of batch) for (const write of writes) written.note(partition, write);
      const committed = await (claim ? engine.commit(partition, batch, claim) : engine.commit(partition, batch));
      for (const { member } of committed.claims) written.noteGrant(partition, member);
      return committed;
    },
    contents: () => written.contentsOf(engine),
  };
}
