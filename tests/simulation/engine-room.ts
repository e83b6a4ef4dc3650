import {
  type ClaimWant,
  type Engine,
  epochKey,
  type Hint,
  type Key,
  pausedCounter,
  type RangeQuery,
  type Transaction,
} from "#coordinator/engine/engine.ts";
import { createFailingEngine, type FailingEngine } from "#coordinator/engine/failing/failing-engine.ts";
import { createMemoryEngine } from "#coordinator/engine/memory/memory-engine.ts";
import { type Partition, partitionOf, runOfTask, type TaskId } from "#shared/domain/ids.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import { WrittenKeys } from "../support/watched-engine.ts";
import type { FaultPlan } from "./faults.ts";
import { Life } from "./life.ts";
import { type PastCommit, replayCommits } from "./replay-commits.ts";
import type { Scheduler } from "./scheduler.ts";
import { SlotWatch } from "./slot-watch.ts";
import type { Trace } from "./trace.ts";

interface RoomDeps {
  readonly scheduler: Scheduler;
  readonly random: SeededRandom;
  readonly trace: Trace;
  readonly faults: FaultPlan["engine"];
}

/** A grant, as the engine made it. */
export interface Granted {
  readonly fence: number;
  readonly holder: string;
  readonly atMs: number;
}

/**
 * The engine's server: one database in memory with a clock of its own, reached by lines that are slow, fail and lose
 * answers. It keeps what the checks at the end need to know: every key that was ever written, and every grant.
 */
export class EngineRoom {
  readonly wall = { offsetMs: Date.UTC(2026, 0, 1) };
  #base: Engine;
  /** What was committed, from the first on. */
  #past: PastCommit[] = [];
  /** Partitions whose next commit is the first on another server. */
  readonly #newEpochs = new Set<Partition>();
  #epoch = 0;
  #listening = new AbortController();
  failovers = 0;
  readonly written = new WrittenKeys();
  readonly slots = new SlotWatch();
  readonly grants = new Map<string, Granted[]>();
  /** Deadlines of leases that are held, on the lease clock, as they follow from what was written. */
  readonly #held = new Map<string, number>();
  readonly #pausedMs = new Map<Partition, number>();
  /** What an engine must never do, seen when it did. */
  readonly violations: string[] = [];
  /** Times the usual latency. */
  slowness = 1;
  readonly #deps: RoomDeps;
  readonly #life: Life;
  readonly #lines: FailingEngine[] = [];
  #calm = false;

  constructor(deps: RoomDeps) {
    this.#deps = deps;
    this.#life = new Life("engine", deps.scheduler, this.wall, 0);
    this.#base = createMemoryEngine({ clock: this.#life.clock });
  }

  get base(): Engine {
    return this.#base;
  }

  /** The engine without a line to it, for who is no part of the cluster. What it writes is watched too. */
  get direct(): Engine {
    return this.#watched("outside");
  }

  #watched(who: string): Engine {
    return {
      get: (keys) => this.base.get(keys),
      range: (index, query) => this.base.range(index, query),
      read: (...args) => this.base.read(...args),
      listen: (topics, signal) => this.#listen(topics, signal),
      close: async () => undefined,
      commit: (partition, batch, claim) => this.#commit(who, partition, batch, claim),
    };
  }

  /** What a coordinator has of the engine. */
  lineFor(life: Life): Engine {
    const { random, faults } = this.#deps;
    const failing = createFailingEngine(this.#watched(life.name), { clock: this.#life.clock, random, faults });
    this.#lines.push(failing);
    if (this.#calm) void failing.calm();
    return new EngineLine(failing, life, () => this.#latencyMs());
  }

  /** Whether a lease is held. */
  isLive(member: string, fence: number): boolean {
    return this.#held.has(member) && this.grants.get(member)?.at(-1)?.fence === fence;
  }

  calm(): void {
    this.#calm = true;
    this.slowness = 1;
    for (const line of this.#lines) void line.calm();
  }

  #latencyMs(): number {
    return this.slowness * (0.1 + 0.9 * this.#deps.random.float());
  }

  async #commit(who: string, partition: Partition, batch: readonly Transaction[], claim?: ClaimWant) {
    if (this.#newEpochs.delete(partition)) await this.#beginEpoch(partition);
    const { clock } = this.#life;
    const [wallMs, monotonicMs] = [clock.nowMs(), clock.monotonicMs()];
    const committed = await (claim === undefined
      ? this.base.commit(partition, batch)
      : this.base.commit(partition, batch, claim));
    const commit = { who, partition, batch, claim, committed, wallMs, monotonicMs };
    this.#past.push(commit);
    this.#watch(commit);
    return committed;
  }

  /**
   * Another server takes over, which has not heard of what was committed last (C28): stamps, fences and logs alike are as
   * they were. As an engine has to, it begins a new epoch in each partition (C16).
   */
  failOver(lossMs: number): void {
    // What was there before the first client came is everywhere.
    const untilMs = Math.max(100, this.#life.clock.monotonicMs() - lossMs);
    const kept = this.#past.filter(({ monotonicMs }) => monotonicMs < untilMs);
    this.#deps.trace.note("engine", "fails over", `${this.#past.length - kept.length} commits are forgotten`);
    this.failovers += 1;
    this.#past = kept;
    this.#base = replayCommits(kept, this.#life.clock);
    this.#held.clear();
    this.#pausedMs.clear();
    for (const commit of kept) {
      this.#followWrites(commit);
      this.#followGrants(commit);
    }
    for (const { partition } of kept) this.#newEpochs.add(partition);
    this.#epoch += 1;
    this.#listening.abort();
    this.#listening = new AbortController();
  }

  async #beginEpoch(partition: Partition): Promise<void> {
    const { nowMs } = await this.base.commit(partition, []);
    const held = [...this.#held.keys()].filter((member) => partitionOf(runOfTask(member as TaskId)) === partition);
    const value = JSON.stringify({ epoch: this.#epoch, fence: nowMs * 1_000 });
    const epoch = { kind: "set", key: epochKey(partition), stamp: `epoch.${this.#epoch}`, value } as const;
    const ends = held.map((member) => ({ kind: "hold", member, forMs: 0 }) as const);
    await this.#commit("engine", partition, [{ checks: [], writes: [epoch, ...ends] }]);
  }

  /** Hints of whatever server there is. */
  async *#listen(topics: readonly string[], signal: AbortSignal): AsyncGenerator<Hint> {
    while (!signal.aborted) {
      yield* this.base.listen(topics, AbortSignal.any([signal, this.#listening.signal]));
    }
  }

  #leaseNowMs(partition: Partition, nowMs: number): number {
    return nowMs - (this.#pausedMs.get(partition) ?? 0);
  }

  /** Which leases are held after a commit's writes, and before its grants. */
  #followWrites({ partition, batch, committed }: PastCommit): void {
    for (const [index, { writes }] of batch.entries()) {
      if (committed.results[index]?.outcome !== "applied") continue;
      for (const write of writes) {
        if (write.kind === "release") this.#held.delete(write.member);
        else if (write.kind === "hold" && this.#held.has(write.member)) {
          this.#held.set(write.member, this.#leaseNowMs(partition, committed.nowMs) + write.forMs);
        } else if (write.kind === "add" && write.counter === pausedCounter(partition)) {
          this.#pausedMs.set(partition, (this.#pausedMs.get(partition) ?? 0) + write.delta);
        }
      }
    }
  }

  #followGrants({ partition, claim, committed }: PastCommit): void {
    for (const { member } of committed.claims) {
      this.#held.set(member, this.#leaseNowMs(partition, committed.nowMs) + (claim?.holdMs ?? 0));
    }
  }

  #watch(commit: PastCommit): void {
    const { who, partition, batch, committed } = commit;
    this.#followWrites(commit);
    const said: string[] = [];
    for (const [index, { writes }] of batch.entries()) {
      const outcome = committed.results[index]?.outcome;
      said.push(`${outcome === "applied" ? "" : `${outcome}: `}${writes.map(wordOf).join(" ")}`);
      if (outcome !== "applied") continue;
      for (const write of writes) {
        this.written.note(partition, write);
        this.slots.note(write);
      }
    }
    for (const { member, holder, fence } of committed.claims) {
      const grants = this.grants.get(member) ?? [];
      this.grants.set(member, grants);
      const last = grants.at(-1);
      const held = this.#held.get(member);
      if (held !== undefined && held > this.#leaseNowMs(partition, committed.nowMs)) {
        this.violations.push(`${member} was granted to ${holder} while its lease ${last?.fence} lived`);
      }
      if (last && last.fence >= fence) this.violations.push(`${member}: fence ${fence} after ${last.fence}`);
      grants.push({ fence, holder, atMs: this.#deps.scheduler.nowMs });
      this.written.noteGrant(partition, member);
      said.push(`GRANT ${member} ${fence} to ${holder}`);
    }
    this.#followGrants(commit);
    this.#deps.trace.note(partition, `commit by ${who}`, said.join(" | "));
  }
}

function wordOf(write: Transaction["writes"][number]): string {
  switch (write.kind) {
    case "set":
    case "delete":
      return `${write.kind} ${nameIn(write.key)}`;
    case "rank":
    case "unrank":
      return `${write.kind} ${nameIn(write.index)}:${write.member}`;
    case "append":
      return `append ${nameIn(write.log)} ${write.value}`;
    case "add":
      return `add ${nameIn(write.counter)} ${write.delta}`;
    case "signal":
      return `signal ${write.note}`;
    default:
      return `${write.kind} ${"member" in write ? write.member : ""}`;
  }
}

const nameIn = (key: Key): string => key.slice(key.indexOf("}") + 1);

/** The way of one coordinator to the engine and back. What it asked for happens also when it has ended meanwhile. */
class EngineLine implements Engine {
  readonly #engine: Engine;
  readonly #life: Life;
  readonly #latencyMs: () => number;

  constructor(engine: Engine, life: Life, latencyMs: () => number) {
    this.#engine = engine;
    this.#life = life;
    this.#latencyMs = latencyMs;
  }

  get(keys: readonly Key[]) {
    return this.#call(() => this.#engine.get(keys));
  }

  range(index: Key, query: RangeQuery) {
    return this.#call(() => this.#engine.range(index, query));
  }

  read(log: Key, after: number, limit: number, bytesMax?: number) {
    return this.#call(() => this.#engine.read(log, after, limit, bytesMax));
  }

  commit(partition: Partition, batch: readonly Transaction[], claim?: ClaimWant) {
    return this.#call(() =>
      claim === undefined ? this.#engine.commit(partition, batch) : this.#engine.commit(partition, batch, claim),
    );
  }

  async *listen(topics: readonly string[], signal: AbortSignal): AsyncGenerator<Hint> {
    const ended = new AbortController();
    const end = () => ended.abort();
    signal.addEventListener("abort", end, { once: true });
    this.#life.onEnd(end);
    for await (const hint of this.#engine.listen(topics, ended.signal)) {
      await this.#after(this.#latencyMs());
      yield hint;
    }
  }

  async close(): Promise<void> {}

  #call<T>(what: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#life.send(this.#latencyMs(), () => {
        what().then(
          (answer) => this.#life.reach(this.#latencyMs(), () => resolve(answer)),
          (error) => this.#life.reach(this.#latencyMs(), () => reject(error)),
        );
      });
    });
  }

  #after(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#life.reach(delayMs, resolve));
  }
}
