import { EventEmitter } from "node:events";
import type { ProgramLink } from "#agent/ports.ts";
import type { AgentSocket, AgentSocketEvents } from "#sdk/program/dial-agent.ts";
import type { Life } from "./life.ts";

/** A Unix socket between an agent and a program of its machine: ordered bytes each way, ended by either's end. */
export class LocalSocket implements AgentSocket {
  readonly #agent: Life;
  readonly #program: Life;
  readonly #events: AgentSocketEvents;
  readonly #latencyMs: () => number;
  readonly #link = new EventEmitter();
  #open = true;
  /** What came in while the agent reads nothing. */
  #unread: Buffer[] | null = null;
  #arrivesMs = { up: 0, down: 0 };
  readonly #nowMs: () => number;

  constructor(deps: {
    agent: Life;
    program: Life;
    events: AgentSocketEvents;
    met: (link: ProgramLink) => void;
    latencyMs: () => number;
    nowMs: () => number;
  }) {
    this.#agent = deps.agent;
    this.#program = deps.program;
    this.#events = deps.events;
    this.#latencyMs = deps.latencyMs;
    this.#nowMs = deps.nowMs;
    this.#agent.onEnd(() => this.destroy());
    this.#program.onEnd(() => this.destroy());
    this.#agent.reach(this.#delayMs("up"), () => {
      if (!this.#open) return;
      deps.met(this.#agentEnd());
      this.#program.reach(this.#delayMs("down"), () => this.#open && this.#events.opened());
    });
  }

  write(text: string): void {
    if (!this.#open) return;
    const bytes = Buffer.from(text);
    this.#agent.reach(this.#delayMs("up"), () => this.#read(bytes));
  }

  destroy(): void {
    if (!this.#open) return;
    this.#open = false;
    // After what was on its way.
    this.#agent.reach(this.#delayMs("up"), () => this.#link.emit("close"));
    this.#program.reach(this.#delayMs("down"), () => this.#events.closed());
  }

  #read(bytes: Buffer): void {
    if (this.#unread === null) this.#link.emit("data", bytes);
    else this.#unread.push(bytes);
  }

  #agentEnd(): ProgramLink {
    return Object.assign(this.#link, {
      write: (text: string) => {
        if (!this.#open) return;
        const bytes = Buffer.from(text);
        this.#program.reach(this.#delayMs("down"), () => this.#events.data(bytes));
      },
      pause: () => {
        this.#unread ??= [];
      },
      resume: () => {
        const unread = this.#unread ?? [];
        this.#unread = null;
        for (const bytes of unread) this.#link.emit("data", bytes);
      },
      destroy: () => this.destroy(),
    });
  }

  #delayMs(way: "up" | "down"): number {
    const nowMs = this.#nowMs();
    this.#arrivesMs[way] = Math.max(this.#arrivesMs[way], nowMs + this.#latencyMs());
    return this.#arrivesMs[way] - nowMs;
  }
}
