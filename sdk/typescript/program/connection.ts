import { StringDecoder } from "node:string_decoder";
import { limits } from "#shared/domain/limits.ts";
import type { Clock, Random, Timer } from "#shared/ports.ts";
import type { AgentToProgramFrame, ProgramFrame } from "#shared/protocol/task.ts";
import type { AgentSocket, DialAgent } from "./dial-agent.ts";

export interface ConnectionDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly dial: DialAgent;
  readonly keepAlive: () => { release(): void };
  /** The first frame of each connection. */
  hello(): ProgramFrame;
  receive(frame: AgentToProgramFrame): void;
  /** No agent could be reached for `lonelyMs`. */
  giveUp(): void;
  readonly lonelyMs: number;
}

const backoffMs = { first: 20, max: 1_000 };
const lineCharsMax = 16 * limits.programLineBytesMax;

/**
 * The line to the agent, as lines of JSON over a socket. Dials again, with back-off and jitter, for as long as the process
 * lives, or until no agent was there for `lonelyMs`. Frames of one turn of the event loop go out in one write.
 */
export class Connection {
  readonly #deps: ConnectionDeps;
  #socket: AgentSocket | null = null;
  #open = false;
  #closed = false;
  #failures = 0;
  #lonely: Timer | null = null;
  #lines: string[] = [];
  #buffer = "";
  #decoder = new StringDecoder("utf8");
  readonly #alive: { release(): void };

  constructor(deps: ConnectionDeps) {
    this.#deps = deps;
    this.#alive = deps.keepAlive();
    this.#startLonely();
    this.#dial();
  }

  /** Dropped while there is no connection. */
  send(frame: ProgramFrame): void {
    if (!this.#open) return;
    this.#lines.push(JSON.stringify(frame));
    if (this.#lines.length === 1) this.#deps.clock.soon(() => this.flush());
  }

  /** Writes what waits. */
  flush(): void {
    if (this.#lines.length === 0) return;
    const text = `${this.#lines.join("\n")}\n`;
    this.#lines = [];
    this.#socket?.write(text);
  }

  close(): void {
    this.#closed = true;
    this.#lonely?.cancel();
    this.#alive.release();
    this.#socket?.destroy();
  }

  #startLonely(): void {
    this.#lonely ??= this.#deps.clock.after(this.#deps.lonelyMs, () => this.#deps.giveUp());
  }

  #dial(): void {
    if (this.#closed) return;
    const socket: AgentSocket = this.#deps.dial({
      opened: () => socket === this.#socket && this.#opened(),
      data: (bytes) => socket === this.#socket && this.#read(bytes),
      closed: () => this.#lost(socket),
    });
    this.#socket = socket;
  }

  #opened(): void {
    this.#open = true;
    this.#failures = 0;
    this.#lonely?.cancel();
    this.#lonely = null;
    this.#buffer = "";
    this.#decoder = new StringDecoder("utf8");
    this.send(this.#deps.hello());
    this.flush();
  }

  #lost(socket: AgentSocket): void {
    if (this.#closed || socket !== this.#socket) return;
    this.#open = false;
    this.#lines = [];
    this.#startLonely();
    const bound = Math.min(backoffMs.max, backoffMs.first * 2 ** Math.min(this.#failures, 10));
    this.#failures += 1;
    this.#deps.clock.after(bound * (0.5 + this.#deps.random.float() / 2), () => this.#dial());
  }

  #read(chunk: Buffer): void {
    const text = this.#decoder.write(chunk);
    let start = 0;
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", start)) {
      const line = this.#buffer + text.slice(start, end);
      this.#buffer = "";
      start = end + 1;
      if (line !== "") this.#deps.receive(JSON.parse(line) as AgentToProgramFrame);
    }
    this.#buffer += text.slice(start);
    // The agent is trusted; a line without end is a broken one.
    if (this.#buffer.length > lineCharsMax) this.#socket?.destroy();
  }
}
