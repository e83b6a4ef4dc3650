import type { WebSocket } from "ws";
import type { AgentId, TaskId } from "#shared/domain/ids.ts";
import type { Clock } from "#shared/ports.ts";
import type { AgentFrame, AttemptName, CoordinatorFrame } from "#shared/protocol/agent.ts";
import { type Offer, parseQueue, satisfies } from "../state/queues.ts";
import type { JournalFeed } from "./journal-feed.ts";
import { Outbound } from "./outbound.ts";

/** A lease as its session knows it. */
export interface Held {
  readonly fence: number;
  readonly kind: "task" | "workflow";
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
  readonly #matches = new Map<string, boolean>();
  readonly #heldByKind = { task: 0, workflow: 0 };
  readonly #clock: Clock;
  /** When the agent last spoke of a lease, or was given it. */
  readonly #heardAtMs = new Map<TaskId, number>();
  #credit = { task: 0, workflow: 0 };
  draining = false;

  constructor(socket: WebSocket, hello: Extract<AgentFrame, { t: "hello" }>, number: number, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    this.#outbound = new Outbound(socket, clock);
    this.agent = hello.agent;
    this.number = number;
    this.offer = { pool: hello.pool, platform: hello.platform, labels: hello.labels };
  }

  get holder(): string {
    return `${this.agent}:${this.number}`;
  }

  send(frame: CoordinatorFrame): void {
    this.#outbound.push(frame);
  }

  setCredit(tasks: number, workflows: number): void {
    this.#credit = { task: tasks, workflow: workflows };
  }

  /** Leases of a kind that it can take now. */
  free(kind: "task" | "workflow"): number {
    return this.draining ? 0 : Math.max(0, this.#credit[kind] - this.#heldByKind[kind]);
  }

  matches(queue: string): boolean {
    const known = this.#matches.get(queue);
    if (known !== undefined) return known;
    const matched = satisfies(this.offer, parseQueue(queue));
    this.#matches.set(queue, matched);
    return matched;
  }

  hold(task: TaskId, held: Held): void {
    this.drop(task);
    this.held.set(task, held);
    this.#heardAtMs.set(task, this.#clock.monotonicMs());
    this.#heldByKind[held.kind] += 1;
  }

  drop(task: TaskId): void {
    const held = this.held.get(task);
    if (!held) return;
    held.feed?.close();
    this.held.delete(task);
    this.#heardAtMs.delete(task);
    this.#heldByKind[held.kind] -= 1;
  }

  /** The agent spoke of leases. */
  hear(leases: readonly AttemptName[]): void {
    const nowMs = this.#clock.monotonicMs();
    for (const { task } of leases) if (this.held.has(task)) this.#heardAtMs.set(task, nowMs);
  }

  /** Leases of which the agent has not spoken for so long. */
  silent(forMs: number): AttemptName[] {
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
