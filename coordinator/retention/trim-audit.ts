import type { Partition } from "#shared/domain/ids.ts";
import type { Engine } from "../engine/engine.ts";
import { type Move, type Mover, writing } from "../engine/move.ts";
import { auditLog } from "../state/audit.ts";

export const auditPerSweepMax = 500;

/** Drops entries of the audit log that are past their time; whether there may be more to do at once. */
export async function trimAudit(
  deps: { readonly engine: Engine; readonly mover: Mover },
  partition: Partition,
  keepMs: number,
): Promise<boolean> {
  if (keepMs === Infinity) return false;
  const [first] = await deps.engine.read(auditLog(partition), 0, 1);
  const { nowMs } = await deps.engine.get([]);
  if (!first || first.atMs > nowMs - keepMs) return false;
  const entries = await deps.engine.read(auditLog(partition), 0, auditPerSweepMax);
  const old = entries.filter(({ atMs }) => atMs <= nowMs - keepMs);
  await deps.mover.move(partition, trimLog, { partition, through: old.at(-1)?.position ?? 0 });
  return old.length === auditPerSweepMax;
}

const trimLog: Move<{ readonly partition: Partition; readonly through: number }, void> = {
  name: "trimAudit",
  bulk: true,
  frees: true,
  reads: () => [],
  decide: (_view, { partition, through }) => writing({ kind: "trim", log: auditLog(partition), through }),
};
