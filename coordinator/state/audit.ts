import { type Partition, sha256 } from "#shared/domain/ids.ts";
import { type Key, keyIn } from "../engine/engine.ts";
import type { DraftWrite } from "../engine/move.ts";

/** Who did what to what, with digests of the object before and after. The log is append-only: nothing rewrites it. */
export interface AuditRecord {
  readonly actor: string;
  readonly action: string;
  readonly object: string;
  readonly before: string | null;
  readonly after: string | null;
}

/** One log a partition, so that an entry is part of the commit that it tells of. */
export const auditLog = (partition: Partition): Key => keyIn(partition, "audit");

export const digestOf = (object: object | null): string | null =>
  object === null ? null : sha256(JSON.stringify(object));

export function auditWrite(
  partition: Partition,
  entry: {
    readonly actor: string;
    readonly action: string;
    readonly object: string;
    readonly before?: object | null;
    readonly after?: object | null;
  },
): DraftWrite {
  const record: AuditRecord = {
    actor: entry.actor,
    action: entry.action,
    object: entry.object,
    before: digestOf(entry.before ?? null),
    after: digestOf(entry.after ?? null),
  };
  return { kind: "append", log: auditLog(partition), value: JSON.stringify(record) };
}
