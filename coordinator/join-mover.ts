import type { RunId } from "#shared/domain/ids.ts";
import type { Clock, Random } from "#shared/ports.ts";
import type { Engine, LogEntry } from "./engine/engine.ts";
import type { Draft } from "./engine/move.ts";
import { createMover, type GroupMover, type MoverDeps } from "./engine/mover.ts";
import type { Fleet } from "./fleet/fleet.ts";
import type { Growth } from "./growth.ts";
import { newsOf } from "./join-peers.ts";
import type { Loops } from "./loops.ts";
import type { Peers } from "./peers.ts";

interface JoinMover {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly random: Random;
}

/** Those who ask something of each commit, or are told of it; they are made after the mover. */
type Audience = () => { readonly fleet: Fleet; readonly peers: Peers | null; readonly loops: Loops };

/** The mover, joined to the fleet that its commits grant to, and to those who hear what they wrote. */
export function joinMover({ engine, clock, random }: JoinMover, growth: Growth, audience: Audience): GroupMover {
  const matching = () => audience().fleet.matching;
  const onApplied: NonNullable<MoverDeps["onApplied"]> = (partition, drafts, positions, nowMs) => {
    const { fleet, loops } = audience();
    for (const { run, entry } of journalEntries(drafts, positions, nowMs)) {
      fleet.onJournal(run, entry);
      growth.grew(run);
    }
    fleet.matching.onEnqueued(partition, drafts);
    loops.onApplied(partition, drafts, nowMs);
  };
  return createMover({
    engine,
    clock,
    random,
    couldClaim: (partition) => matching().couldClaim(partition),
    wantClaims: (partition, batch) => matching().want(partition, batch),
    onClaims: (partition, want, claims) => audience().fleet.onClaims(partition, want, claims),
    tell(partition, batch, want) {
      const { peers } = audience();
      return peers ? peers.writes(partition, [...newsOf(batch, matching().unmet(batch, want))]) : [];
    },
    whereIs(agent) {
      const { fleet, peers } = audience();
      if (fleet.isHere(agent)) return "here";
      return peers ? "unknown" : "gone";
    },
    onUnknown: (partition) => audience().peers?.doubt(partition),
    onApplied,
  });
}

/** What a commit appended to journals. */
function* journalEntries(
  drafts: readonly Draft[],
  positions: readonly (readonly number[])[],
  nowMs: number,
): Generator<{ run: RunId; entry: LogEntry }> {
  for (const [index, { writes }] of drafts.entries()) {
    let appended = 0;
    for (const write of writes) {
      if (write.kind !== "append") continue;
      const position = positions[index]?.[appended];
      appended += 1;
      const name = write.log.slice(write.log.indexOf("}") + 1);
      if (position === undefined || !name.startsWith("journal/")) continue;
      yield { run: name.slice("journal/".length) as RunId, entry: { position, atMs: nowMs, value: write.value } };
    }
  }
}
