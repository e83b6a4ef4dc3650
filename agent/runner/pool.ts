import type { Sha256 } from "#shared/domain/ids.ts";
import type { Lease } from "#shared/protocol/agent.ts";
import type { Attempt } from "../leases/attempt.ts";
import { nextMeanMs, prefetchFor } from "../leases/credit.ts";
import type { Program } from "./program.ts";

/** What processes must have in common to be given the same work: the warm key (C19). */
export interface PoolIdentity {
  readonly kind: "task" | "workflow";
  readonly project: string;
  readonly release: string;
  readonly binary: Sha256;
  /** The binary is a PEX, for such Pythons. */
  readonly python?: string;
  readonly policy: "warm" | "fresh";
}

export const poolIdentityOf = (lease: Lease): PoolIdentity => ({
  kind: lease.kind,
  project: lease.project,
  release: lease.release,
  binary: lease.binary,
  ...(lease.python === undefined ? {} : { python: lease.python }),
  policy: lease.process,
});

export const poolKeyOf = (pool: PoolIdentity): string =>
  `${pool.kind} ${pool.policy} ${pool.project} ${pool.release} ${pool.binary}`;

/** The processes of one warm key, and what of it waits for one. */
export class Pool {
  readonly identity: PoolIdentity;
  readonly programs = new Set<Program>();
  /** Workflow tasks that wait for a process; tasks wait in one line over all pools. */
  readonly waiting: Attempt[] = [];
  /** On the monotonic clock: no process is started before. */
  startsAtMs = 0;
  #meanRunMs: number | null = null;

  constructor(identity: PoolIdentity) {
    this.identity = identity;
  }

  ran(ranMs: number): void {
    this.#meanRunMs = nextMeanMs(this.#meanRunMs, ranMs);
  }

  /** How many works may be in the hands of one process. */
  depth(worksMax: number): number {
    if (this.identity.policy === "fresh") return 1;
    return this.identity.kind === "workflow" ? worksMax : prefetchFor(this.#meanRunMs);
  }

  get starting(): number {
    let count = 0;
    for (const program of this.programs) if (program.state === "starting") count += 1;
    return count;
  }

  /** A process that can begin a task at once. That the coordinator has yet to accept its last answers keeps it from nothing. */
  free(): Program | null {
    for (const program of this.programs) if (program.room(1) > 0) return program;
    return null;
  }

  /** The process with most room, or null. */
  roomiest(worksMax: number): Program | null {
    const depth = this.depth(worksMax);
    let best: Program | null = null;
    let most = 0;
    for (const program of this.programs) {
      const room = program.room(depth);
      if (room <= most) continue;
      best = program;
      most = room;
    }
    return best;
  }
}
