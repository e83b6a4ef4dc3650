import type { Partition } from "#shared/domain/ids.ts";
import { type Key, partitionOfKey } from "../engine.ts";

/**
 * Names in Redis: `<space><kind>{<partition>}<name>`. The kind before the hash tag keeps apart what the port keeps apart,
 * and costs no taking apart of keys.
 */
export const createKeyspace = (space: string) => ({
  /** Of one partition: what the engine itself knows of it. */
  engine: (partition: Partition): string => `${space}e{${partition}}`,
  /** Records, counters and leases. */
  record: (key: Key): string => `${space}r${key}`,
  /** Ranked indexes and queues. */
  index: (key: Key): string => `${space}i${key}`,
  /** The values of an index's members. */
  values: (key: Key): string => `${space}v${key}`,
  log: (key: Key): string => `${space}l${key}`,
  /** Of one partition: where its trimmed logs begin. */
  bases: (partition: Partition): string => `${space}b{${partition}}`,
  /** In a cluster a partition's own topic, its name, is heard on the partition's shard. */
  channel: (topic: string): string => `${space}h{${topic}}`,
});

export type Keyspace = ReturnType<typeof createKeyspace>;

export const isLease = (key: Key): boolean => key.startsWith("lease/", key.indexOf("}") + 1);
export const memberOfLease = (key: Key): string => key.slice(key.indexOf("}") + 7);

/** The keys' positions by partition, in the order of their first mention. */
export function byPartition(keys: readonly Key[]): Map<Partition, number[]> {
  const groups = new Map<Partition, number[]>();
  keys.forEach((key, position) => {
    const partition = partitionOfKey(key);
    const group = groups.get(partition);
    if (group) group.push(position);
    else groups.set(partition, [position]);
  });
  return groups;
}

/** The slot of a partition: CRC16 (XMODEM) of its hash tag, modulo 16,384 (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/). */
export function slotOf(partition: Partition): number {
  let crc = 0;
  for (const byte of Buffer.from(partition)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  }
  return crc & 0x3fff;
}
