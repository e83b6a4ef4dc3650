import type { Partition, RunId, TaskId } from "#shared/domain/ids.ts";
import type { Clock, Timer } from "#shared/ports.ts";
import { type Engine, type Key, queuesIndex } from "./engine/engine.ts";
import type { Draft } from "./engine/move.ts";
import { closingIndex, linkingIndex, resolvingIndex, timersIndex } from "./records.ts";
import { walksIndex } from "./state/event-records.ts";
import { removingIndex } from "./state/kept-records.ts";
import { limitsIndex } from "./state/limit-records.ts";
import { type Message, outboxIndex } from "./state/messages.ts";

/**
 * What happens without being asked for: timers, expired leases, calls of ended runs, dependents of settled tasks. Any
 * coordinator does it, each item once, a bounded number a tick. Work that this coordinator itself makes is done at
 * once; the tick finds what another left behind.
 */
export interface LoopsDeps {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly partitions: readonly Partition[];
  readonly logger: { warn(fields: object, message: string): void };
  readonly fireTimers: (partition: Partition) => Promise<{ nextInMs: number | null }>;
  readonly expireLeases: (partition: Partition) => Promise<unknown>;
  /** Of the agents here: leases that they forgot, and that have moved on. */
  readonly letGoLost: () => Promise<void>;
  readonly closeRun: (run: RunId) => Promise<void>;
  readonly resolveDependents: (task: TaskId) => Promise<void>;
  readonly linkRefs: (task: TaskId) => Promise<void>;
  readonly deliver: (partition: Partition, member: string, message: Message) => Promise<void>;
  readonly walkEvents: (topic: string) => Promise<void>;
  /** Gives what can be given under a limit. */
  readonly serveLimit: (partition: Partition, limit: string) => Promise<void>;
  /** Looks whether slots are held by those who are said to hold them. */
  readonly lookAfterSlots: () => Promise<void>;
  readonly sawQueues: (partition: Partition, queues: readonly string[]) => void;
  readonly fireTriggers: () => Promise<{ nextInMs: number | null }>;
  readonly removeRun: (run: RunId) => Promise<void>;
  /** Looks for what is past its time; whether there may be more at once. */
  readonly sweepKept: (partition: Partition) => Promise<boolean>;
  /** Whether other coordinators told something that did not arrive. */
  readonly lookAtPeers: () => Promise<void>;
}

export const tickMs = 1_000;
const sweepEveryTicks = 2;
/** How often a partition is looked at for what is past its time, unless the last look left some of it. */
const keptEveryTicks = 30;
const slotsEveryTicks = 10;
/** How often a failure that stays is told again. */
const toldEveryTicks = 30;
const itemsPerTickMax = 100;
/** Each lists what is to be done; `#workOf` says how. */
const workIndexes = [closingIndex, linkingIndex, resolvingIndex, outboxIndex, walksIndex, limitsIndex, removingIndex];
const queuesPerPartitionMax = 1_024;

export class Loops {
  readonly #deps: LoopsDeps;
  readonly #timers = new Map<Partition, { timer: Timer; atMs: number }>();
  /** What is being worked on, and whether more was written to it since: seeing it again begins nothing beside it. */
  readonly #active = new Map<string, { again: boolean }>();
  /** By partition: the tick at which it is next looked at for what is past its time. */
  readonly #keptAtTick = new Map<Partition, number>();
  /** While a store is away each step of each tick fails, for the same reason: that is told once. */
  readonly #told = new Set<string>();
  #tick: Timer | null = null;
  #occasion: Timer | null = null;
  #firing = false;
  #ticks = 0;
  #closed = false;

  constructor(deps: LoopsDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#onTick();
  }

  /** What a commit of this coordinator wrote: work of these loops is begun without waiting for a tick. */
  onApplied(partition: Partition, drafts: readonly Draft[], nowMs: number): void {
    for (const { writes } of drafts) {
      for (const write of writes) {
        if (write.kind !== "rank") continue;
        if (write.index === timersIndex(partition)) {
          this.#wakeIn(partition, "nowPlusMs" in write.score ? write.score.nowPlusMs : write.score.at - nowMs);
        } else this.#begin(partition, write.index, write.member, write.value ?? null, true);
      }
    }
  }

  close(): void {
    this.#closed = true;
    this.#tick?.cancel();
    this.#occasion?.cancel();
    for (const { timer } of this.#timers.values()) timer.cancel();
  }

  #onTick(): void {
    if (this.#closed) return;
    this.#ticks += 1;
    if (this.#ticks % toldEveryTicks === 1) this.#told.clear();
    const sweep = this.#ticks % sweepEveryTicks === 1;
    const done = this.#deps.partitions.map((partition) => this.#look(partition, sweep));
    const others = [this.#guard("peers", this.#deps.lookAtPeers()), this.#guard("triggers", this.#fireTriggers())];
    // It may take longer than a tick.
    if (this.#ticks % slotsEveryTicks === 1) this.#once({ name: "slots", isNew: false }, this.#deps.lookAfterSlots);
    void Promise.all([...done, ...others]).then(async () => {
      // What expired in this sweep has moved on.
      if (sweep) await this.#guard("lost leases", this.#deps.letGoLost());
      if (!this.#closed) this.#tick = this.#deps.clock.after(tickMs, () => this.#onTick());
    });
  }

  async #look(partition: Partition, sweep: boolean): Promise<void> {
    await this.#guard("timers", this.#fire(partition));
    if (!sweep) return;
    await this.#guard("leases", this.#deps.expireLeases(partition));
    await this.lookAt(partition);
    await this.#guard("retention", this.#sweepKept(partition));
  }

  async #sweepKept(partition: Partition): Promise<void> {
    if (this.#ticks < (this.#keptAtTick.get(partition) ?? 0)) return;
    this.#keptAtTick.set(partition, this.#ticks + keptEveryTicks);
    if (await this.#deps.sweepKept(partition)) this.#keptAtTick.delete(partition);
  }

  /** Looks for what another coordinator left to be done, or has just made. */
  async lookAt(partition: Partition): Promise<void> {
    const { engine } = this.#deps;
    const look = async () => {
      for (const index of workIndexes) {
        const { rows } = await engine.range(index(partition), { limit: itemsPerTickMax });
        for (const { member, value } of rows) this.#begin(partition, index(partition), member, value);
      }
      const queues = await engine.range(queuesIndex(partition), { limit: queuesPerPartitionMax });
      this.#deps.sawQueues(
        partition,
        queues.rows.map((row) => row.member),
      );
    };
    await this.#guard("sweep", look());
  }

  async #guard(what: string, work: Promise<unknown>): Promise<void> {
    try {
      await work;
    } catch (error) {
      const reason = String(error);
      if (this.#closed || this.#told.has(reason)) return;
      this.#told.add(reason);
      this.#deps.logger.warn({ err: error, loop: what }, "a loop's step failed and is tried again");
    }
  }

  async #fire(partition: Partition): Promise<void> {
    const { nextInMs } = await this.#deps.fireTimers(partition);
    if (nextInMs !== null && nextInMs < tickMs) this.#wakeIn(partition, nextInMs);
  }

  /** Ticks alone would come late for an occasion, and pass over those of a trigger that fires each second. */
  async #fireTriggers(): Promise<void> {
    if (this.#firing || this.#closed) return;
    this.#firing = true;
    try {
      const { nextInMs } = await this.#deps.fireTriggers();
      this.#occasion?.cancel();
      if (nextInMs === null || nextInMs >= tickMs || this.#closed) return;
      this.#occasion = this.#deps.clock.after(nextInMs, () => void this.#guard("triggers", this.#fireTriggers()));
    } finally {
      this.#firing = false;
    }
  }

  #wakeIn(partition: Partition, delayMs: number): void {
    if (delayMs >= tickMs || this.#closed) return;
    const atMs = this.#deps.clock.monotonicMs() + Math.max(0, delayMs);
    const set = this.#timers.get(partition);
    if (set && set.atMs <= atMs) return;
    set?.timer.cancel();
    const timer = this.#deps.clock.after(Math.max(0, delayMs), () => {
      this.#timers.delete(partition);
      void this.#guard("timers", this.#fire(partition));
    });
    this.#timers.set(partition, { timer, atMs });
  }

  #begin(partition: Partition, index: Key, member: string, value: string | null, isNew = false): void {
    const work = this.#workOf(partition, index, member, value);
    if (work) this.#once({ name: `${index} ${member}`, isNew }, work);
  }

  #workOf(partition: Partition, index: Key, member: string, value: string | null): (() => Promise<void>) | null {
    switch (index) {
      case closingIndex(partition):
        return () => this.#deps.closeRun(member as RunId);
      case resolvingIndex(partition):
        return () => this.#deps.resolveDependents(member as TaskId);
      case linkingIndex(partition):
        return () => this.#deps.linkRefs(member as TaskId);
      case removingIndex(partition):
        return () => this.#deps.removeRun(member as RunId);
      case limitsIndex(partition):
        return () => this.#deps.serveLimit(partition, member);
      case walksIndex(partition):
        return () => this.#deps.walkEvents(member);
      case outboxIndex(partition):
        return () => this.#deps.deliver(partition, member, JSON.parse(value ?? "null") as Message);
      default:
        return null;
    }
  }

  #once(item: { readonly name: string; readonly isNew: boolean }, work: () => Promise<void>): void {
    if (this.#closed) return;
    const active = this.#active.get(item.name);
    if (active) {
      // The work may be past the point where it would have seen this.
      active.again ||= item.isNew;
      return;
    }
    const mine = { again: false };
    this.#active.set(item.name, mine);
    void this.#guard(item.name, work()).then(() => {
      this.#active.delete(item.name);
      if (mine.again) this.#once({ ...item, isNew: false }, work);
    });
  }
}
