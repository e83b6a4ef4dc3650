import type { DatabaseSync } from "node:sqlite";
import { type Found, type Key, type LeaseRecord, leasesIndex, partitionOfKey } from "../engine.ts";
import { createRanges, limitTo } from "./ranges.ts";

/** A lease is held while it has a score: its deadline on the lease clock. `index` is the partition's `leases`. */
export function createLeases(db: DatabaseSync) {
  const find = db.prepare("SELECT fence, holder, state, queue FROM lease WHERE key = ? AND member = ?");
  const stamp = db.prepare("SELECT fence FROM lease WHERE key = ? AND member = ?");
  stamp.setReturnArrays(true);
  const grant = db.prepare(
    `INSERT INTO lease (key, member, fence, holder, state, queue, score) VALUES (?, ?, ?, ?, 'granted', ?, ?)
     ON CONFLICT DO UPDATE SET
       fence = excluded.fence, holder = excluded.holder, state = 'granted', queue = excluded.queue, score = excluded.score`,
  );
  const hold = db.prepare(
    `UPDATE lease SET score = ?, state = coalesce(?, state), holder = coalesce(?, holder)
     WHERE key = ? AND member = ? AND score IS NOT NULL`,
  );
  const release = db.prepare("UPDATE lease SET score = NULL, holder = '' WHERE key = ? AND member = ?");
  const remove = db.prepare("DELETE FROM lease WHERE key = ? AND member = ?");
  const held = db.prepare("SELECT 1 FROM lease WHERE key = ? AND member = ? AND score IS NOT NULL");
  const count = db.prepare(
    `SELECT count(*) AS count FROM (SELECT 1 FROM lease WHERE key = ? AND score IS NOT NULL ${limitTo})`,
  );

  return {
    range: createRanges(db, "lease"),
    has: (index: Key, member: string): boolean => held.get(index, member) !== undefined,
    fewer: (index: Key, than: number): boolean => Number(count.get(index, Math.max(0, than))?.count) < than,
    stamp(index: Key, member: string): string | null {
      const row = stamp.get(index, member) as unknown as [fence: number] | undefined;
      return row === undefined ? null : String(row[0]);
    },
    /** The lease as the record that the port shows. */
    find(key: Key, member: string): Found {
      const row = find.get(leasesIndex(partitionOfKey(key)), member);
      if (row === undefined) return { key, stamp: null, value: null };
      const { fence, holder, state, queue } = row as unknown as LeaseRecord & { fence: number };
      return { key, stamp: String(fence), value: JSON.stringify({ holder, state, queue }) };
    },
    grant: (index: Key, lease: { member: string; fence: number; holder: string; queue: string; deadlineMs: number }) =>
      void grant.run(index, lease.member, lease.fence, lease.holder, lease.queue, lease.deadlineMs),
    hold: (index: Key, lease: { member: string; deadlineMs: number; state?: string; holder?: string }) =>
      void hold.run(lease.deadlineMs, lease.state ?? null, lease.holder ?? null, index, lease.member),
    release: (index: Key, member: string) => void release.run(index, member),
    delete: (index: Key, member: string) => void remove.run(index, member),
  };
}

/** The member of a lease's key, or null for a key of another kind. */
export function memberOfLease(key: Key): string | null {
  const start = key.indexOf("}") + 1;
  return key.startsWith("lease/", start) ? key.slice(start + 6) : null;
}

export function isLeasesIndex(key: Key): boolean {
  const start = key.indexOf("}") + 1;
  return key.length === start + 6 && key.startsWith("leases", start);
}
