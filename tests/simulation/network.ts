import { EventEmitter } from "node:events";
import type { WebSocket } from "ws";
import type { Dial, Link, LinkEvents } from "#agent/connection/dial.ts";
import type { AttemptName } from "#shared/protocol/agent.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import { CreditWatch } from "./credit-watch.ts";
import type { Life } from "./life.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Trace } from "./trace.ts";

/** Whoever takes agents' connections. */
export interface Host {
  readonly life: Life;
  accept(socket: WebSocket): void;
}

interface NetworkDeps {
  readonly scheduler: Scheduler;
  readonly random: SeededRandom;
  readonly trace: Trace;
  /** Where a dial arrives; null when nobody is there. */
  readonly route: (from: string) => Host | null;
  readonly onWrong: (what: string) => void;
  /** Whether a lease is held, as the engine has it. */
  readonly isLive: (lease: AttemptName) => boolean;
}

/** How a connection ends when its network does: which side hears of it, and whether what is on its way still arrives. */
export interface Cut {
  readonly loseUp: boolean;
  readonly loseDown: boolean;
  /** The coordinator hears of it so much later. */
  readonly lateMs: number;
}

const handshakeMs = 10_000;

/** The network between agents and coordinators. */
export class Network {
  readonly open = new Set<Connection>();
  readonly #deps: NetworkDeps;
  /** Every message takes so much longer, at most. */
  lagMs = 0;
  /** What arrives in place of a message: for peers that say what ours would not. */
  tamper: Record<"up" | "down", (text: string) => readonly string[]> = { up: (text) => [text], down: (text) => [text] };

  constructor(deps: NetworkDeps) {
    this.#deps = deps;
  }

  dialFrom(life: Life): Dial {
    return (_target, events) => new Connection({ ...this.#deps, network: this, client: life, events });
  }

  latencyMs(): number {
    const { random } = this.#deps;
    return 0.2 + 1.8 * random.float() + random.float() * this.lagMs;
  }
}

interface ConnectionDeps extends NetworkDeps {
  readonly network: Network;
  readonly client: Life;
  readonly events: LinkEvents;
}

/**
 * One connection, as an ordered stream each way. A message that was sent arrives unless the connection is cut with loss;
 * after a cut that the coordinator has not heard of, it may arrive while the same is sent again over the next connection.
 */
export class Connection implements Link {
  readonly #deps: ConnectionDeps;
  readonly #credit: CreditWatch;
  readonly #socket = new EventEmitter();
  #server: Host | null = null;
  #clientOpen = true;
  #serverOpen = false;
  #arrivesUpMs = 0;
  #arrivesDownMs = 0;
  #bufferedBytes = 0;
  /** Directions in which messages vanish. */
  deaf = { up: false, down: false };

  constructor(deps: ConnectionDeps) {
    this.#deps = deps;
    this.#credit = new CreditWatch(deps.isLive);
    deps.client.onEnd(() => this.#clientGone());
    // After the dialler has the link in hand.
    deps.client.send(deps.network.latencyMs(), () => this.#arrive());
  }

  get clientName(): string {
    return this.#deps.client.name;
  }

  get serverName(): string {
    return this.#server?.life.name ?? "nobody";
  }

  #arrive(): void {
    const { client, network, route } = this.#deps;
    if (!this.#clientOpen) return;
    const host = route(client.name);
    if (host === null || host.life.stopped) {
      // Refused at once, or not answered.
      client.reach(host === null ? network.latencyMs() : handshakeMs, () => this.#endClient(1006, "no answer"));
      return;
    }
    this.#server = host;
    this.#serverOpen = true;
    network.open.add(this);
    host.life.onEnd(() => this.#serverGone());
    this.#deps.trace.note(this.clientName, "connected", `to ${this.serverName}`);
    host.accept(this.#serverSocket() as unknown as WebSocket);
    client.reach(network.latencyMs(), () => this.#clientOpen && this.#deps.events.opened());
  }

  // The agent's end.

  send(text: string): void {
    if (!this.#clientOpen) return;
    this.#credit.said(text);
    this.#up(() => {
      for (const arrived of this.#deps.network.tamper.up(text)) {
        this.#deps.trace.note(this.clientName, `→ ${this.serverName}`, arrived);
        this.#socket.emit("message", Buffer.from(arrived), false);
      }
    });
  }

  ping(): void {
    if (!this.#clientOpen) return;
    this.#up(() => this.#down(() => this.#deps.events.alive()));
  }

  close(code: number, reason: string): void {
    if (!this.#clientOpen) return;
    this.#up(() => this.#endServer(code, reason));
    this.#endClientSoon(code, reason);
  }

  terminate(): void {
    if (!this.#clientOpen) return;
    this.#up(() => this.#endServer(1006, ""));
    this.#endClientSoon(1006, "");
  }

  #endClientSoon(code: number, reason: string): void {
    this.#deps.client.reach(this.#deps.network.latencyMs(), () => this.#endClient(code, reason));
  }

  // The coordinator's end.

  #serverSocket(): EventEmitter {
    const end = (code: number, reason: string) => {
      if (!this.#serverOpen) return;
      this.#down(() => this.#endClient(code, reason));
      this.#server?.life.reach(this.#deps.network.latencyMs(), () => this.#endServer(code, reason));
    };
    return Object.defineProperties(this.#socket, {
      bufferedAmount: { get: () => this.#bufferedBytes },
      send: { value: (text: string) => this.#sendDown(text) },
      ping: { value: () => this.#serverOpen && this.#down(() => this.#pong()) },
      close: { value: end },
      terminate: { value: () => end(1006, "") },
    });
  }

  #pong(): void {
    this.#deps.events.alive();
    this.#up(() => this.#socket.emit("pong"));
  }

  #sendDown(text: string): void {
    if (!this.#serverOpen) return;
    this.#bufferedBytes += text.length;
    this.#down(() => {
      this.#bufferedBytes -= text.length;
      this.#deps.events.alive();
      for (const arrived of this.#deps.network.tamper.down(text)) this.#hear(arrived);
    });
  }

  #hear(text: string): void {
    this.#deps.trace.note(this.clientName, `← ${this.serverName}`, text);
    for (const wrong of this.#credit.heard(text)) this.#deps.onWrong(`${this.clientName} ${wrong}`);
    this.#deps.events.message(text);
  }

  // Either way.

  #up(arrives: () => void): void {
    const { client, network, scheduler } = this.#deps;
    this.#arrivesUpMs = Math.max(this.#arrivesUpMs, scheduler.nowMs + network.latencyMs());
    client.send(this.#arrivesUpMs - scheduler.nowMs, () => {
      if (this.deaf.up || !this.#serverOpen) return;
      this.#server?.life.enter(() => this.#serverOpen && arrives());
    });
  }

  #down(arrives: () => void): void {
    const { client, network, scheduler } = this.#deps;
    this.#arrivesDownMs = Math.max(this.#arrivesDownMs, scheduler.nowMs + network.latencyMs());
    this.#server?.life.send(this.#arrivesDownMs - scheduler.nowMs, () => {
      if (this.deaf.down || !this.#clientOpen) return;
      client.enter(() => this.#clientOpen && arrives());
    });
  }

  #endClient(code: number, reason: string): void {
    if (!this.#clientOpen) return;
    this.#clientOpen = false;
    this.#forget();
    this.#deps.trace.note(this.clientName, "disconnected", `from ${this.serverName} (${code} ${reason})`);
    this.#deps.events.ended({ code, reason });
  }

  #endServer(code: number, reason: string): void {
    if (!this.#serverOpen) return;
    this.#serverOpen = false;
    this.#forget();
    this.#socket.emit("close", code, Buffer.from(reason));
  }

  #forget(): void {
    if (!this.#clientOpen && !this.#serverOpen) this.#deps.network.open.delete(this);
  }

  /** From now on nobody hears of the other, not even of its end. */
  silence(): void {
    this.deaf = { up: true, down: true };
  }

  /** The network breaks. */
  cut({ loseUp, loseDown, lateMs }: Cut): void {
    const { client, network } = this.#deps;
    this.deaf = { up: this.deaf.up || loseUp, down: this.deaf.down || loseDown };
    client.reach(network.latencyMs(), () => this.#endClient(1006, "cut"));
    this.#server?.life.reach(lateMs, () => this.#endServer(1006, "cut"));
  }

  /** The agent's process is gone: its machine says so, or nobody does when the machine is gone too. */
  #clientGone(): void {
    this.#clientOpen = false;
    this.#forget();
    if (!this.deaf.up) this.#server?.life.reach(this.#deps.network.latencyMs(), () => this.#endServer(1006, ""));
  }

  #serverGone(): void {
    this.#serverOpen = false;
    this.#forget();
    if (!this.deaf.down) this.#deps.client.reach(this.#deps.network.latencyMs(), () => this.#endClient(1006, ""));
  }
}
