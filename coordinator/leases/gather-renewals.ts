import type { Clock } from "#shared/ports.ts";
import type { AttemptName } from "#shared/protocol/agent.ts";
import type { RenewedLeases } from "../stages.ts";

/** The part of a lease's time for which its renewal waits for others: half a second of 30. */
const gatherPart = 1 / 60;

export interface GatherDeps {
  readonly clock: Clock;
  readonly leaseTtlMs: number;
  /** Renews leases of whichever partitions. */
  readonly renew: (leases: readonly AttemptName[]) => Promise<RenewedLeases>;
}

export type GatheredRenewals = (
  leases: readonly AttemptName[],
  how: { readonly isUrgent: boolean },
) => Promise<RenewedLeases>;

/**
 * Renews the leases of many agents together: nobody is kept waiting by a renewal, and a commit costs about as much as
 * ten leases in it do. Each caller is told of its own leases; all are refused together when the engine refuses. An
 * urgent one is committed at once: an attempt begins only after it (C17).
 */
export function gatherRenewals({ clock, leaseTtlMs, renew }: GatherDeps): GatheredRenewals {
  let waiting: { readonly leases: readonly AttemptName[]; readonly answer: PromiseWithResolvers<RenewedLeases> }[] = [];
  const renewAll = async () => {
    const together = waiting;
    waiting = [];
    const named = new Map(together.flatMap(({ leases }) => leases.map((lease) => [nameOf(lease), lease])));
    try {
      const outcome = await renew([...named.values()]);
      const held = new Set(outcome.held.map(nameOf));
      const stops = new Map(outcome.stops.map((stop) => [nameOf(stop), stop]));
      for (const { leases, answer } of together) {
        const { yes = [], no = [] } = Object.groupBy(leases, (lease) => (held.has(nameOf(lease)) ? "yes" : "no"));
        answer.resolve({ held: yes, stale: no, stops: yes.flatMap((lease) => stops.get(nameOf(lease)) ?? []) });
      }
    } catch (error) {
      for (const { answer } of together) answer.reject(error);
    }
  };
  return async (leases, { isUrgent }) => {
    if (isUrgent) return await renew(leases);
    const answer = Promise.withResolvers<RenewedLeases>();
    waiting.push({ leases, answer });
    if (waiting.length === 1) clock.after(leaseTtlMs * gatherPart, () => void renewAll());
    return await answer.promise;
  };
}

const nameOf = ({ task, fence }: AttemptName): string => `${task} ${fence}`;
