import { SaltError } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Timer } from "#shared/ports.ts";
import { type AgentFrame, type CoordinatorFrame, coordinatorBatchSchema } from "#shared/protocol/agent.ts";
import type { AgentDeps } from "../options.ts";
import { TurnBatch } from "../turn-batch.ts";
import type { Dial, Link } from "./dial.ts";
import { Outgoing } from "./outgoing.ts";
import type { Target } from "./target.ts";
import type { Unit } from "./unit.ts";

export type Welcome = Extract<CoordinatorFrame, { t: "welcome" }>;
export type Hello = Extract<AgentFrame, { t: "hello" }>;

export interface ConnectionEvents {
  hello(): Hello;
  /** A session begins: what was said without a number in an older one is to be said again. */
  welcomed(welcome: Welcome): void;
  frame(frame: CoordinatorFrame): void;
  lost(): void;
  /** The coordinator will not have this agent, now or later. */
  refused(error: SaltError): void;
}

type State =
  | { readonly kind: "waiting"; readonly timer: Timer | null }
  | { readonly kind: "dialling" | "greeting" | "connected"; readonly link: Link }
  | { readonly kind: "closed" };

const firstDelayMs = 250;
const repeatAfterMs = 15_000;
const inFlightMax = 2;
const holdMs = 1;

/**
 * The agent's line to the coordinator: dialled, greeted, watched, and dialled again for as long as the agent lives.
 * Losing it stops nothing.
 *
 * L0  Of several coordinators the next is dialled after each end, so that one that stops is left at once.
 * L1  The delay before a dial is drawn evenly from zero to a bound that doubles, up to a third of the lease time to
 *     live, so that leases outlast it and a herd of agents spreads out.
 * L2  A side that is silent for two ping intervals is gone, whatever TCP says.
 * L3  While two numbered frames are on their way, reports gather for the next until one of the two is accepted, or 1 ms:
 *     under load the coordinator's own pace makes the batches, and a lone report never waits.
 * L4  A frame that does not fit the schema ends the connection: nothing after it can be trusted.
 */
export class Connection {
  readonly #deps: AgentDeps & { dial: Dial };
  readonly #target: Target;
  readonly #events: ConnectionEvents;
  readonly #outgoing = new Outgoing();
  readonly #batch: TurnBatch;
  #state: State = { kind: "waiting", timer: null };
  #failures = 0;
  #leaseTtlMs: number = limits.leaseTtlMs;
  #aliveAtMs = 0;
  #repeatAtMs = 0;
  #watch: Timer | null = null;
  #held: Timer | null = null;

  constructor(deps: AgentDeps & { dial: Dial }, target: Target, events: ConnectionEvents) {
    this.#deps = deps;
    this.#target = target;
    this.#events = events;
    this.#batch = new TurnBatch(deps.clock, () => this.#flush());
  }

  get connected(): boolean {
    return this.#state.kind === "connected";
  }

  /** Reports, logs, calls and emits that the coordinator has not accepted. */
  get unacceptedCount(): number {
    return this.#outgoing.unacceptedCount;
  }

  open(): void {
    if (this.#state.kind === "waiting") this.#dial();
  }

  renew(frame: AgentFrame): void {
    if (!this.connected) return;
    this.#outgoing.renew(frame);
    this.#batch.want();
  }

  /** For frames that mean something within one session only; nothing happens without one. */
  control(frame: AgentFrame): void {
    if (!this.connected) return;
    this.#outgoing.control(frame);
    this.#batch.want();
  }

  /** As `control`, but in its place among calls. */
  ordered(frame: AgentFrame): void {
    if (!this.connected) return;
    this.#outgoing.ordered(frame);
    this.#batch.want();
  }

  keep(unit: Unit): void {
    this.#outgoing.keep(unit);
    if (this.connected) this.#batch.want();
  }

  drop(isDropped: (unit: Unit) => boolean): void {
    this.#outgoing.drop(isDropped);
  }

  kept<T>(attempts: ReadonlyMap<string, T>): { unit: Unit; attempt: T }[] {
    return this.#outgoing.kept(attempts);
  }

  /** Ends for good, after what waits has been sent. */
  close(reason: string): void {
    const state = this.#state;
    if (state.kind === "connected") this.#sendAll();
    this.#held?.cancel();
    this.#state = { kind: "closed" };
    this.#watch?.cancel();
    if (state.kind === "waiting") state.timer?.cancel();
    else if (state.kind === "connected") state.link.close(1000, reason);
    else if (state.kind !== "closed") state.link.terminate();
  }

  #dial(): void {
    // The link's events may come after it was given up; only the current link's count.
    const link: Link = this.#deps.dial(this.#target, {
      opened: () => this.#isCurrent(link) && this.#greet(link),
      message: (text) => this.#isCurrent(link) && this.#receive(link, text),
      alive: () => {
        this.#aliveAtMs = this.#deps.clock.monotonicMs();
      },
      ended: (end) => this.#isCurrent(link) && this.#ended(end),
    });
    this.#state = { kind: "dialling", link };
  }

  #isCurrent(link: Link): boolean {
    return "link" in this.#state && this.#state.link === link;
  }

  #greet(link: Link): void {
    this.#state = { kind: "greeting", link };
    link.send(JSON.stringify([this.#events.hello()]));
    this.#aliveAtMs = this.#deps.clock.monotonicMs();
    this.#watchLink(link);
  }

  #receive(link: Link, text: string): void {
    const frames = readBatch(text);
    if (frames === null) {
      this.#deps.logger.error({}, "The coordinator sent a frame that does not fit the protocol; dialling again");
      link.close(1008, "malformed frame");
      this.#lose();
      return;
    }
    for (const frame of frames) {
      if (!this.#isCurrent(link)) return;
      this.#take(link, frame);
    }
  }

  #take(link: Link, frame: CoordinatorFrame): void {
    if (frame.t === "refused") {
      link.close(1000, "refused");
      this.#refuse(
        new SaltError("NotAllowed", `The coordinator refuses this agent: ${frame.message} (${frame.code}).`),
      );
    } else if (frame.t === "accepted") {
      this.#outgoing.accept(frame.ranges);
      if (this.#held !== null && this.#outgoing.inFlight < inFlightMax) this.#batch.want();
    } else if (frame.t === "welcome") {
      this.#failures = 0;
      this.#leaseTtlMs = frame.leaseTtlMs;
      this.#state = { kind: "connected", link };
      this.#watchLink(link);
      this.#repeatAtMs = this.#deps.clock.monotonicMs() + repeatAfterMs;
      this.#outgoing.restart();
      this.#events.welcomed(frame);
      this.#batch.want();
    } else if (this.connected) {
      this.#events.frame(frame);
    }
  }

  #flush(): void {
    if (this.#state.kind !== "connected") return;
    if (this.#outgoing.inFlight >= inFlightMax && this.#outgoing.isPatient) {
      this.#held ??= this.#deps.clock.after(holdMs, () => this.#sendAll());
      return;
    }
    this.#sendAll();
  }

  #sendAll(): void {
    this.#held?.cancel();
    this.#held = null;
    if (this.#state.kind !== "connected") return;
    for (const message of this.#outgoing.take()) this.#state.link.send(message);
  }

  #watchLink(link: Link): void {
    const intervalMs = Math.min(10_000, this.#leaseTtlMs / 3);
    this.#watch?.cancel();
    this.#watch = this.#deps.clock.after(intervalMs, () => {
      if (!this.#isCurrent(link)) return;
      const nowMs = this.#deps.clock.monotonicMs();
      if (nowMs - this.#aliveAtMs > 2 * intervalMs) {
        link.terminate();
        this.#ended({ code: 1006, reason: "the coordinator has fallen silent" });
        return;
      }
      // A coordinator that has just been heard is there, so that of thousands of idle agents few ping it. Whoever is taken
      // to be gone at two intervals was asked at one.
      if (nowMs - this.#aliveAtMs > intervalMs / 2) link.ping();
      if (this.connected && nowMs > this.#repeatAtMs) {
        this.#repeatAtMs = nowMs + repeatAfterMs;
        this.#outgoing.repeat();
        this.#batch.want();
      }
      this.#watchLink(link);
    });
  }

  #ended(end: { code: number; reason: string; status?: number }): void {
    if (end.status === 401 || end.status === 403) {
      const code = end.status === 401 ? "NotAuthenticated" : "NotAllowed";
      const next = "Give the agent a token of role 'agent': salt tokens create --role agent.";
      this.#refuse(new SaltError(code, `The coordinator at ${this.#target.url} refuses the agent's token.`, { next }));
      return;
    }
    this.#lose(end);
  }

  #lose(end?: { code: number; reason: string }): void {
    const wasConnected = this.connected;
    this.#watch?.cancel();
    // A round of all coordinators is one failure: one of them that is down is no reason to be slow to the next.
    const rounds = Math.floor(this.#failures / this.#target.count);
    const boundMs = Math.min(firstDelayMs * 2 ** Math.min(rounds, 20), this.#leaseTtlMs / 3);
    const delayMs = this.#deps.random.float() * boundMs;
    this.#failures += 1;
    this.#deps.logger.warn(
      { ...end, url: this.#target.url, delayMs: Math.round(delayMs) },
      wasConnected ? "Lost the coordinator; dialling again" : "Cannot reach the coordinator; dialling again",
    );
    this.#target.next();
    this.#state = { kind: "waiting", timer: this.#deps.clock.after(delayMs, () => this.#dial()) };
    if (wasConnected) this.#events.lost();
  }

  #refuse(error: SaltError): void {
    this.#watch?.cancel();
    this.#state = { kind: "closed" };
    this.#events.refused(error);
  }
}

function readBatch(text: string): CoordinatorFrame[] | null {
  try {
    return coordinatorBatchSchema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
