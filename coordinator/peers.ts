import { LRUCache } from "lru-cache";
import type { Partition, RunId, TaskId } from "#shared/domain/ids.ts";
import type { Clock, Random } from "#shared/ports.ts";
import { type Engine, type Key, keyIn, type Write } from "./engine/engine.ts";

/** What one coordinator tells the others. All of it may be lost: it only brings forward what a look would find. */
export type News =
  /** The run's journal has grown. */
  | { readonly t: "journal"; readonly run: RunId }
  /** Tasks of the run have printed something. */
  | { readonly t: "logs"; readonly run: RunId }
  /** The queue has members that no agent here can take. */
  | { readonly t: "queue"; readonly queue: string }
  /** The agent that holds a lease is to end its attempt. */
  | {
      readonly t: "stop";
      readonly holder: string;
      readonly task: TaskId;
      readonly fence: number;
      readonly reason: string;
    }
  /** The agent has connected here: its older sessions are over. */
  | { readonly t: "session"; readonly agent: string; readonly session: number }
  | {
      readonly t: "progress";
      readonly task: TaskId;
      readonly fence: number;
      readonly fraction?: number;
      readonly message?: string;
    };

export interface PeersDeps {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly random: Random;
  readonly partitions: readonly Partition[];
  readonly logger: { warn(fields: object, message: string): void };
  readonly onNews: (partition: Partition, news: News) => void;
  /** News may have been lost: what others change in the partition is to be looked at. */
  readonly onLost: (partition: Partition) => void;
}

/** What is told without a commit of its own to go with waits so long for company. */
const gatherMs = 20;
const listenAgainMs = 1_000;
/** A note may be behind its commit by so much. */
const arrivesWithinMs = 100;
/** Coordinators of whom the last note is remembered, a partition. */
const bootsMax = 64;

interface Heard {
  /** The number of the last note of each coordinator. */
  readonly last: LRUCache<string, number>;
  /** Notes told and heard, beginning with the tick at the first look. */
  count: number;
  tick: number | null;
}

/**
 * C10: coordinators hint to each other over the engine. A commit that tells something also counts the partition's tick.
 *
 * H1  A note carries its coordinator and a number without gaps: a gap is a loss that is noticed with the next note.
 * H2  A tick that is ahead of what was told and heard, and still is when notes have had time to arrive, is a loss. One
 *     that stood still for a second must be equal.
 * H3  A loss costs a look at the partition, and a second at the most: nothing rests on a note having come.
 */
export class Peers {
  readonly #deps: PeersDeps;
  readonly #boot: string;
  readonly #heard = new Map<Partition, Heard>();
  readonly #told = new Map<Partition, number>();
  readonly #waiting = new Map<Partition, News[]>();
  readonly #ending = new AbortController();

  constructor(deps: PeersDeps) {
    this.#deps = deps;
    this.#boot = Buffer.from(deps.random.bytes(9)).toString("base64url");
    for (const partition of deps.partitions) {
      this.#heard.set(partition, { last: new LRUCache({ max: bootsMax }), count: 0, tick: null });
    }
  }

  start(): void {
    void this.#listen();
  }

  /** The writes by which a commit tells its news. */
  writes(partition: Partition, news: readonly News[]): readonly Write[] {
    if (news.length === 0) return [];
    const turn = (this.#told.get(partition) ?? 0) + 1;
    this.#told.set(partition, turn);
    const heard = this.#heard.get(partition);
    if (heard) heard.count += 1;
    const note = JSON.stringify([this.#boot, turn, news]);
    return [
      { kind: "signal", topic: partition, note },
      { kind: "add", counter: tickKey(partition), delta: 1 },
    ];
  }

  /** Tells what no commit goes with. */
  tell(partition: Partition, news: News): void {
    const waiting = this.#waiting.get(partition);
    if (waiting) {
      waiting.push(news);
      return;
    }
    this.#waiting.set(partition, [news]);
    this.#deps.clock.after(gatherMs, () => void this.#flush(partition));
  }

  async #flush(partition: Partition): Promise<void> {
    const news = this.#waiting.get(partition) ?? [];
    this.#waiting.delete(partition);
    if (this.#ending.signal.aborted) return;
    const writes = this.writes(partition, news);
    await this.#deps.engine.commit(partition, [{ checks: [], writes }]).catch(() => this.doubt(partition));
  }

  /** A commit that told something may not have been applied: the next look counts anew. */
  doubt(partition: Partition): void {
    const heard = this.#heard.get(partition);
    if (heard) heard.tick = null;
  }

  /** Once a second: looks at all ticks in one trip. */
  async look(): Promise<void> {
    const { engine, partitions } = this.#deps;
    const { found } = await engine.get(partitions.map(tickKey));
    for (const [index, partition] of partitions.entries()) {
      const heard = this.#heard.get(partition);
      if (!heard) continue;
      const tick = Number(found[index]?.value ?? 0);
      if (heard.tick === null || (heard.tick === tick && heard.count !== tick)) this.#lost(partition, tick);
      else if (heard.count < tick) {
        this.#deps.clock.after(arrivesWithinMs, () => heard.count < tick && this.#lost(partition, tick));
      }
      heard.tick = tick;
    }
  }

  #lost(partition: Partition, tick: number): void {
    const heard = this.#heard.get(partition);
    if (!heard || this.#ending.signal.aborted) return;
    heard.count = tick;
    this.#deps.onLost(partition);
  }

  async #listen(): Promise<void> {
    const { engine, clock, logger, partitions } = this.#deps;
    while (!this.#ending.signal.aborted) {
      try {
        for await (const { topic, note } of engine.listen(partitions, this.#ending.signal)) {
          this.#hear(topic as Partition, note);
        }
      } catch (error) {
        logger.warn({ err: error }, "hints of other coordinators cannot be heard; looking every second");
      }
      if (this.#ending.signal.aborted) return;
      for (const partition of partitions) this.doubt(partition);
      await new Promise<void>((resolve) => clock.after(listenAgainMs, resolve));
    }
  }

  #hear(partition: Partition, note: string): void {
    if (note.startsWith(`["${this.#boot}"`)) return;
    const heard = this.#heard.get(partition);
    if (!heard) return;
    const [boot, turn, news] = JSON.parse(note) as [string, number, News[]];
    const last = heard.last.get(boot);
    if (last !== undefined && turn <= last) return;
    heard.last.set(boot, turn);
    heard.count += 1;
    for (const one of news) this.#deps.onNews(partition, one);
    if (last !== undefined && turn !== last + 1) {
      heard.count += turn - last - 1;
      this.#deps.onLost(partition);
    }
  }

  close(): void {
    this.#ending.abort();
  }
}

const tickKey = (partition: Partition): Key => keyIn(partition, "tick");
