import type { WebSocket } from "ws";
import type { AgentId, TaskId } from "#shared/domain/ids.ts";
import type { Clock } from "#shared/ports.ts";
import type { AgentFrame, AttemptName, CoordinatorFrame } from "#shared/protocol/agent.ts";
import type { ParkedBy } from "../records.ts";
import type { Offer } from "../state/queues.ts";
import type { JournalFeed } from "./journal-feed.ts";
import { Outbound } from "./outbound.ts";

export type Kind = "task" | "workflow";

/** A lease as its session knows it. */
export interface Held {
  readonly fence: number;
  readonly kind: Kind;
  readonly feed: JournalFeed | null;
  /** Frames of one workflow attempt take effect in the order in which they came. */
  order: Promise<void>;
}

/** One connection of one agent: what it offers, may take and holds. */
export class Session {
  readonly agent: AgentId;
  readonly number: number;
  readonly offer: Offer;
  readonly held = new Map<TaskId, Held>();
  readonly #socket: WebSocket;
  readonly #outbound: Outbound;
  /** Queues that it may take from, of those that were met. */
  readonly classes = new Set<string>();
  /** Called when it can take leases of a kind, after it could not, and the other way round. */
  onFree: (kind: Kind) => void = () => {};
  /** Leases held, and those that a commit under way may grant. */
  readonly #taken = { task: 0, workflow: 0 };
  readonly #clock: Clock;
  /** When the agent last spoke of a lease, or was given it. */
  readonly #heardAtMs = new Map<TaskId, number>();
  readonly #keepsJournals: boolean;
  #credit = { task: 0, workflow: 0 };
  #draining = false;

  constructor(socket: WebSocket, hello: Extract<AgentFrame, { t: "hello" }>, number: number, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    this.#outbound = new Outbound(socket, clock);
    this.#keepsJournals = hello.keepsJournals === true;
    this.agent = hello.agent;
    this.number = number;
    const { agent, pool, platform, labels, pythons } = hello;
    this.offer = { agent, pool, platform, labels, ...(pythons ? { pythons } : {}) };
  }

  get holder(): string {
    return `${this.agent}:${this.number}`;
  }

  /** How much its agent has of the journal of a workflow that an agent let go. */
  keptOf(parked: ParkedBy | null): number {
    return this.#keepsJournals && parked?.agent === this.agent ? parked.given : 0;
  }

  send(frame: CoordinatorFrame): void {
    this.#outbound.push(frame);
  }

  setCredit(tasks: number, workflows: number): void {
    this.#change("task", () => {
      this.#credit.task = tasks;
    });
    this.#change("workflow", () => {
      this.#credit.workflow = workflows;
    });
  }

  /** It takes no more leases. */
  drain(): void {
    for (const kind of ["task", "workflow"] as const) {
      this.#change(kind, () => {
        this.#draining = true;
      });
    }
  }

  /** Leases of a kind that it can take now. */
  free(kind: Kind): number {
    return this.#draining ? 0 : Math.max(0, this.#credit[kind] - this.#taken[kind]);
  }

  /** Counts leases that it may be about to be granted as held; less than none gives them back. */
  reserve(kind: Kind, leases: number): void {
    this.#change(kind, () => {
      this.#taken[kind] += leases;
    });
  }

  #change(kind: Kind, change: () => void): void {
    const wasFree = this.free(kind) > 0;
    change();
    if (this.free(kind) > 0 !== wasFree) this.onFree(kind);
  }

  hold(task: TaskId, held: Held): void {
    this.drop(task);
    this.held.set(task, held);
    this.#heardAtMs.set(task, this.#clock.monotonicMs());
    this.reserve(held.kind, 1);
  }

  drop(task: TaskId): void {
    const held = this.held.get(task);
    if (!held) return;
    held.feed?.close();
    this.held.delete(task);
    this.#heardAtMs.delete(task);
    this.reserve(held.kind, -1);
  }

  /** The agent spoke of leases. */
  hear(leases: readonly AttemptName[]): void {
    const nowMs = this.#clock.monotonicMs();
    for (const { task } of leases) if (this.held.has(task)) this.#heardAtMs.set(task, nowMs);
  }

  /** Leases of which the agent has not spoken for so long. */
  silent(forMs: number): AttemptName[] {
    if (this.held.size === 0) return [];
    const untilMs = this.#clock.monotonicMs() - forMs;
    return [...this.held]
      .filter(([task]) => (this.#heardAtMs.get(task) ?? 0) < untilMs)
      .map(([task, { fence }]) => ({ task, fence }));
  }

  close(code: number, reason: string): void {
    for (const task of [...this.held.keys()]) this.drop(task);
    this.#outbound.flush();
    this.#outbound.close();
    this.#socket.close(code, reason);
  }
}
