import { type Partition, partitionAt, partitionFor } from "#shared/domain/ids.ts";
import type { AuditRow } from "#shared/protocol/api.ts";
import type { Engine, Write } from "../engine/engine.ts";
import { type AuditRecord, auditLog, auditWrite } from "../state/audit.ts";

export interface AuditEntry {
  readonly actor: string;
  readonly action: string;
  readonly object: string;
  readonly before?: object | null;
  readonly after?: object | null;
}

/**
 * An entry about an action that has committed elsewhere (a run was cancelled, signalled, retried). Changes of tokens,
 * releases and triggers carry theirs in their own commit.
 */
export async function recordAudit(
  deps: { readonly engine: Engine; readonly partitions: number },
  entry: AuditEntry,
): Promise<void> {
  const partition = partitionFor(deps.partitions, "audit", entry.object);
  await deps.engine.commit(partition, [{ checks: [], writes: [auditWrite(partition, entry) as Write] }]);
}

/**
 * Entries in the order of their times, over all partitions. `after` holds the last position seen of each partition; so
 * does `next`, null when nothing follows.
 */
export async function listAudit(
  deps: { readonly engine: Engine; readonly partitions: number },
  query: { readonly limit: number; readonly after: readonly number[] },
): Promise<{ rows: readonly AuditRow[]; next: readonly number[] | null }> {
  const partitions = Array.from({ length: deps.partitions }, (_, index): Partition => partitionAt(index));
  const parts = await Promise.all(
    partitions.map(async (partition, index) => {
      const entries = await deps.engine.read(auditLog(partition), query.after[index] ?? 0, query.limit + 1);
      return entries.map((entry) => ({ index, entry }));
    }),
  );
  const all = parts.flat().sort((a, b) => a.entry.atMs - b.entry.atMs || a.entry.position - b.entry.position);
  const page = all.slice(0, query.limit);
  const next = partitions.map((_, index) => query.after[index] ?? 0);
  for (const { index, entry } of page) next[index] = Math.max(next[index] ?? 0, entry.position);
  const rows = page.map(({ entry }) => ({ atMs: entry.atMs, ...(JSON.parse(entry.value) as AuditRecord) }));
  return { rows, next: all.length > page.length ? next : null };
}
