import type { Programs } from "../cache/programs.ts";
import type { Attempt } from "../leases/attempt.ts";
import { Pool, type PoolIdentity, poolIdentityOf, poolKeyOf } from "./pool.ts";
import type { Program } from "./program.ts";

/** What is known of a pool without processes, such as how long its tasks take, is kept up to so many pools. */
const poolsMax = 1_000;

/** The processes of this agent, by what they may be given. While a process lives its binary stays in the cache. */
export class Pools {
  readonly #executables: Programs;
  readonly #pools = new Map<string, Pool>();
  readonly #programs = new Map<Program, Pool>();

  constructor(executables: Programs) {
    this.#executables = executables;
  }

  get programs(): Program[] {
    return [...this.#programs.keys()];
  }

  get all(): Iterable<Pool> {
    return this.#pools.values();
  }

  of(attempt: Attempt): Pool {
    return this.for(poolIdentityOf(attempt.lease));
  }

  for(identity: PoolIdentity): Pool {
    const key = poolKeyOf(identity);
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = new Pool(identity);
      this.#pools.set(key, pool);
    }
    return pool;
  }

  poolOf(program: Program): Pool | null {
    return this.#programs.get(program) ?? null;
  }

  join(pool: Pool, program: Program): void {
    pool.programs.add(program);
    this.#programs.set(program, pool);
    this.#executables.pin(pool.identity.binary);
  }

  leave(program: Program): void {
    const pool = this.#programs.get(program);
    if (pool === undefined) return;
    pool.programs.delete(program);
    this.#programs.delete(program);
    this.#executables.unpin(pool.identity.binary);
    if (this.#pools.size > poolsMax) this.#forgetUnused();
  }

  #forgetUnused(): void {
    for (const [key, pool] of this.#pools) {
      if (pool.programs.size === 0 && pool.waiting.length === 0) this.#pools.delete(key);
    }
  }

  /** Task processes at work, and warm ones on their way. */
  busy(): { working: number; starting: number } {
    let working = 0;
    let starting = 0;
    for (const [program, pool] of this.#programs) {
      if (program.kind !== "task") continue;
      if (program.state === "starting") starting += pool.identity.policy === "warm" ? 1 : 0;
      else if (program.line.length > 0) working += 1;
    }
    return { working, starting };
  }
}
