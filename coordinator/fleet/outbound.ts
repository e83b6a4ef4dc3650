import { limits } from "#shared/domain/limits.ts";
import type { Clock } from "#shared/ports.ts";
import type { CoordinatorFrame } from "#shared/protocol/agent.ts";

export interface Socket {
  send(text: string): void;
  readonly bufferedAmount: number;
  close(code: number, reason: string): void;
}

/** Frames to one agent: those of a turn of the event loop leave as one message, cut below the frame limit. */
export class Outbound {
  readonly #socket: Socket;
  readonly #clock: Clock;
  #frames: CoordinatorFrame[] = [];
  #closed = false;

  constructor(socket: Socket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
  }

  push(frame: CoordinatorFrame): void {
    if (this.#closed) return;
    // A25: nothing is kept without a bound for an agent that takes nothing; it comes again, and is told what it missed.
    if (this.#socket.bufferedAmount > limits.outboundBytesMax) {
      this.close();
      this.#socket.close(1013, "too much waits to be taken");
      return;
    }
    this.#frames.push(frame);
    if (this.#frames.length === 1) this.#clock.soon(() => this.flush());
  }

  flush(): void {
    let message: string[] = [];
    let chars = 0;
    for (const frame of this.#frames) {
      const text = JSON.stringify(frame);
      // A character takes up to three bytes of UTF-8.
      if (chars + text.length > limits.frameBytesMax / 3 && message.length > 0) {
        this.#socket.send(`[${message.join(",")}]`);
        message = [];
        chars = 0;
      }
      message.push(text);
      chars += text.length;
    }
    if (message.length > 0) this.#socket.send(`[${message.join(",")}]`);
    this.#frames = [];
  }

  close(): void {
    this.#closed = true;
    this.#frames = [];
  }
}
