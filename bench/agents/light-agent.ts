import { WebSocket } from "ws";
import { agentSocketUrl } from "#agent/connection/dial.ts";
import type { AgentId } from "#shared/domain/ids.ts";
import {
  type AgentFrame,
  type AttemptName,
  agentSubprotocol,
  type CoordinatorFrame,
  type Lease,
} from "#shared/protocol/agent.ts";
import type { Platform } from "#shared/protocol/common.ts";

export interface LightAgentOptions {
  readonly url: string;
  readonly token: string;
  /** Its place among all of them, which is its label `slot` too. */
  readonly index: number;
  /** Leases of tasks, and of workflow tasks, that it may hold. */
  readonly credit: { readonly tasks: number; readonly workflows: number };
  readonly onLease: (agent: LightAgent, lease: Lease) => void;
  /** All other frames that come. */
  readonly onFrame: (agent: LightAgent, frame: CoordinatorFrame) => void;
}

/** As the agent's own. */
const pingEveryMs = 10_000;

/** An agent as its coordinator sees one: real frames over a real WebSocket, and neither disk nor programs behind it. */
export class LightAgent {
  readonly index: number;
  readonly welcomed: Promise<void>;
  /** Heartbeats so far: pings of either side, and `renew` frames. */
  readonly beats = { pings: 0, renewals: 0 };
  #aliveAtMs = performance.now();
  readonly #options: LightAgentOptions;
  readonly #socket: WebSocket;
  readonly #held = new Map<string, AttemptName>();
  readonly #timers: NodeJS.Timeout[] = [];
  #seq = 0;

  constructor(options: LightAgentOptions) {
    this.#options = options;
    this.index = options.index;
    this.#socket = new WebSocket(agentSocketUrl(options.url), [agentSubprotocol], {
      headers: { authorization: `Bearer ${options.token}` },
      perMessageDeflate: false,
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.welcomed = promise;
    this.#socket.on("open", () => this.send(this.#hello()));
    this.#socket.on("error", reject);
    this.#socket.on("close", (code) => reject(new Error(`Agent ${options.index} was cut off: ${code}.`)));
    this.#socket.on("pong", () => this.#hear());
    this.#socket.on("ping", () => {
      this.#hear();
      this.beats.pings += 1;
    });
    this.#socket.on("message", (bytes) => {
      this.#hear();
      for (const frame of JSON.parse(bytes.toString()) as CoordinatorFrame[]) {
        if (frame.t === "welcome") {
          this.#begin(frame.leaseTtlMs);
          resolve();
        } else if (frame.t === "leases") for (const lease of frame.leases) options.onLease(this, lease);
        else options.onFrame(this, frame);
      }
    });
  }

  #hear(): void {
    this.#aliveAtMs = performance.now();
  }

  #hello(): AgentFrame {
    const { index, credit } = this.#options;
    return {
      t: "hello",
      agent: `agt_${String(index).padStart(26, "0")}` as AgentId,
      name: `light-${index}`,
      pool: "default",
      platform: `${process.platform}-${process.arch}` as Platform,
      version: "0.1.0",
      labels: { slot: String(index) },
      capacity: credit,
      cached: [],
      leases: [],
    };
  }

  #begin(leaseTtlMs: number): void {
    this.send({ t: "credit", ...this.#options.credit });
    this.#every(pingEveryMs, () => {
      // As the agent does: a coordinator that was heard meanwhile needs no ping.
      if (performance.now() - this.#aliveAtMs <= pingEveryMs) return;
      this.#socket.ping();
      this.beats.pings += 1;
    });
    this.#every(leaseTtlMs / 3, () => {
      if (this.#held.size === 0) return;
      this.send({ t: "renew", leases: [...this.#held.values()] });
      this.beats.renewals += 1;
    });
  }

  /** From a moment of its own, for agents do not all start at once. */
  #every(intervalMs: number, act: () => void): void {
    const first = setTimeout(() => {
      act();
      this.#timers.push(setInterval(act, intervalMs));
    }, Math.random() * intervalMs);
    this.#timers.push(first);
  }

  send(...frames: readonly AgentFrame[]): void {
    this.#socket.send(JSON.stringify(frames));
  }

  seq(): number {
    this.#seq += 1;
    return this.#seq;
  }

  /** Accepts a lease, and renews it until it is `done`. */
  keep({ task, fence }: AttemptName): void {
    this.#held.set(task, { task, fence });
    this.send({ t: "started", leases: [{ task, fence }] });
  }

  done({ task, fence }: AttemptName, output: unknown): void {
    this.#held.delete(task);
    const result = { kind: "done", output: { json: JSON.stringify(output) } } as const;
    this.send({ t: "report", seq: this.seq(), reports: [{ task, fence, result, ranMs: 1 }] });
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#socket.removeAllListeners("close");
    this.#socket.close();
  }
}
