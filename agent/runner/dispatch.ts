import { assert } from "#shared/domain/assert.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Clock } from "#shared/ports.ts";
import { type Attempt, isStrict, moveAttempt } from "../leases/attempt.ts";
import type { AttemptJournal } from "../outbox/attempt-journal.ts";
import { type Pool, poolIdentityOf, poolKeyOf } from "./pool.ts";
import type { Pools } from "./pools.ts";
import type { Program } from "./program.ts";

export interface DispatchDeps {
  readonly clock: Clock;
  readonly pools: Pools;
  readonly journal: AttemptJournal;
  readonly start: (pool: Pool) => void;
  readonly parkAfterMs: () => number;
}

/** A workflow that others wait behind parks as soon as it only waits (C20). */
const parkSoonMs = 10;
/**
 * How long ago all workflow slots were taken, when others are still taken to wait for one: between a park and the grant
 * that follows it there is always a free one.
 */
const crowdedForMs = 1_000;
const startAgainMs = 1_000;

/**
 * Gives prepared attempts to processes.
 *
 * X1  Tasks get a process strictly in the order in which they became ready, over all pools, so that no pool starves; but
 *     one whose lease must be surely held, and is not, is passed over until it is.
 * X2  At most `slots` task processes are busy or starting; idle ones and spares do not count.
 * X3  Where starting a process fails, as on a full disk, it is not tried again at once, for that would be without end.
 */
export class Dispatch {
  readonly #deps: DispatchDeps;
  readonly #capacity: { slots: number; workflowSlots: number };
  readonly #line: Attempt[] = [];
  /** Workflow tasks held, in whatever phase. */
  #workflows = 0;
  #fullAtMs: number | null = null;
  #closed = false;

  constructor(deps: DispatchDeps, capacity: { slots: number; workflowSlots: number }) {
    this.#deps = deps;
    this.#capacity = capacity;
  }

  /** Whether every slot is taken by a process at work, so that what waits waits for one of them. */
  get isFull(): boolean {
    return this.#deps.pools.busy().working >= this.#capacity.slots;
  }

  /** Counts a workflow task that is held from now on. */
  take(): void {
    this.#workflows += 1;
    this.#noteCrowd();
  }

  /** One is held no more. */
  letGo(): void {
    this.#noteCrowd();
    this.#workflows -= 1;
  }

  #noteCrowd(): void {
    if (this.#workflows >= this.#capacity.workflowSlots) this.#fullAtMs = this.#deps.clock.monotonicMs();
  }

  /** Whether others are likely to wait for a workflow slot. */
  get #isCrowded(): boolean {
    this.#noteCrowd();
    return this.#fullAtMs !== null && this.#deps.clock.monotonicMs() - this.#fullAtMs < crowdedForMs;
  }

  enqueue(attempt: Attempt): void {
    moveAttempt(attempt, "waiting");
    this.#lineOf(attempt).push(attempt);
  }

  takeBack(attempt: Attempt): void {
    const line = this.#lineOf(attempt);
    const index = line.indexOf(attempt);
    if (index >= 0) line.splice(index, 1);
  }

  /** What waits for a process of this pool, the longest first. */
  waitingFor(pool: Pool): Attempt[] {
    if (pool.identity.kind === "workflow") return [...pool.waiting];
    const key = poolKeyOf(pool.identity);
    return this.#line.filter((attempt) => poolKeyOf(poolIdentityOf(attempt.lease)) === key);
  }

  /** Gives what waits to the processes that have room, and starts processes where that helps. */
  pump(): void {
    if (this.#closed) return;
    const { pools } = this.#deps;
    for (const pool of pools.all) if (pool.waiting.length > 0) this.#pumpWorkflows(pool);
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const program = this.#findProcess(pools.of(next), next);
      if (program === null) return;
      this.takeBack(next);
      this.#give(program, next);
    }
  }

  /**
   * A process of the pool has ended before its hello. Whether others of it are at work: then what waits is left to them,
   * and the next is started a moment later (X3).
   */
  startFailed(pool: Pool): boolean {
    if (![...pool.programs].some(({ state }) => state === "ready")) return false;
    pool.startsAtMs = this.#deps.clock.monotonicMs() + startAgainMs;
    this.#pumpFrom(pool.startsAtMs);
    return true;
  }

  /** A timer may come a little early; nothing else might make it start again then. */
  #pumpFrom(atMs: number): void {
    const leftMs = atMs - this.#deps.clock.monotonicMs();
    if (leftMs > 0) this.#deps.clock.after(leftMs, () => this.#pumpFrom(atMs));
    else this.pump();
  }

  close(): void {
    this.#closed = true;
  }

  #mayStart(pool: Pool): boolean {
    return this.#deps.clock.monotonicMs() >= pool.startsAtMs;
  }

  #lineOf(attempt: Attempt): Attempt[] {
    return attempt.lease.kind === "workflow" ? this.#deps.pools.of(attempt).waiting : this.#line;
  }

  #pumpWorkflows(pool: Pool): void {
    const worksMax = limits.runsPerWorkflowProcessMax;
    while (pool.waiting.length > 0) {
      const program = pool.roomiest(worksMax);
      const next = program === null ? undefined : pool.waiting.shift();
      if (program === null || next === undefined) break;
      this.#give(program, next);
    }
    while (this.#mayStart(pool) && pool.waiting.length > pool.starting * pool.depth(worksMax)) this.#deps.start(pool);
  }

  #next(): Attempt | undefined {
    const nowMs = this.#deps.clock.monotonicMs();
    return this.#line.find(({ heldUntilMs }) => nowMs < heldUntilMs);
  }

  #findProcess(pool: Pool, { lease }: Attempt): Program | null {
    const { working, starting } = this.#deps.pools.busy();
    const isFree = working < this.#capacity.slots;
    const isWarm = pool.identity.policy === "warm";
    const free = isFree ? pool.free() : null;
    if (free !== null) {
      // The next fresh attempt finds a spare that has started meanwhile.
      if (!isWarm && pool.starting === 0 && this.#mayStart(pool)) this.#deps.start(pool);
      return free;
    }
    const mayStart = isFree && this.#mayStart(pool) && (!isWarm || working + starting < this.#capacity.slots);
    if (mayStart && pool.starting < this.#line.length) this.#deps.start(pool);
    // Room behind short tasks is worth taking even while a further process starts. What waits in a process may begin at
    // any time, and could not be ended without what is before it.
    return isWarm && !isStrict(lease) && pool.depth(1) > 1 ? pool.roomiest(1) : null;
  }

  #give(program: Program, attempt: Attempt): void {
    const { lease, prepared } = attempt;
    assert(prepared !== null, "what is given has been prepared");
    program.give(attempt, {
      argsId: attempt.argsId,
      kind: lease.kind,
      name: lease.name,
      task: lease.task,
      attempt: lease.attempt,
      ...prepared,
      ...(isStrict(lease) ? { untilMs: attempt.heldUntilMs } : {}),
      ...(lease.kind === "workflow" ? this.#flowOf(attempt) : {}),
    });
    this.#deps.journal.given(program.id, attempt);
  }

  #flowOf({ lease }: Attempt) {
    const parkAfterMs = this.#deps.parkAfterMs();
    return {
      journalEnd: lease.journalEnd ?? 0,
      parkAfterMs: this.#isCrowded ? Math.min(parkSoonMs, parkAfterMs) : parkAfterMs,
      ...(lease.seed === undefined ? {} : { seed: lease.seed }),
      ...(lease.openedAtMs === undefined ? {} : { openedAtMs: lease.openedAtMs }),
    };
  }
}
