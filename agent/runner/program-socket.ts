import { createHash, timingSafeEqual } from "node:crypto";
import { limits } from "#shared/domain/limits.ts";
import type { Clock } from "#shared/ports.ts";
import type { Processes, ProgramLink } from "../ports.ts";

/** The first line of a connection, and so all that an unproven one may send. */
const helloBytesMax = 1024 * 1024;
const helloMs = 10_000;
const unprovenMax = 4;

export interface ProgramSocketEvents {
  /** The session secret that a first line claims, or null when it claims none. */
  sessionOf(line: string): string | null;
  /** The program has proven itself; `line` is its `hello`. */
  proven(line: string): void;
  lines(lines: readonly string[]): void;
  /** A line beyond the limit. */
  overrun(): void;
  lost(): void;
}

export const hashSession = (session: string): string => createHash("sha256").update(session).digest("hex");

/**
 * The socket of one process. It talks to one connection at a time: the one that has proven the session secret; every
 * other is closed.
 */
export class ProgramSocket {
  readonly #sessionHash: Buffer;
  readonly #events: ProgramSocketEvents;
  readonly #unproven = new Set<ProgramLink>();
  readonly #clock: Clock;
  #server: { close(): void } | null = null;
  #proven: ProgramLink | null = null;

  private constructor(sessionHash: string, clock: Clock, events: ProgramSocketEvents) {
    this.#sessionHash = Buffer.from(sessionHash, "hex");
    this.#events = events;
    this.#clock = clock;
  }

  /** Listens at `path`, in place of what an earlier life left there. */
  static async listen(
    path: string,
    options: { sessionHash: string; clock: Clock; processes: Processes },
    events: ProgramSocketEvents,
  ): Promise<ProgramSocket> {
    const made = new ProgramSocket(options.sessionHash, options.clock, events);
    made.#server = await options.processes.listen(path, (socket) => made.#meet(socket));
    return made;
  }

  get connected(): boolean {
    return this.#proven !== null;
  }

  /** Nothing happens without a connection: the program asks again in its next `hello`. */
  write(text: string): void {
    this.#proven?.write(text);
  }

  /** Holds the program back while the coordinator takes nothing. */
  pause(): void {
    this.#proven?.pause();
  }

  resume(): void {
    this.#proven?.resume();
  }

  close(): void {
    this.#server?.close();
    this.#proven?.destroy();
    for (const socket of this.#unproven) socket.destroy();
  }

  #meet(socket: ProgramLink): void {
    socket.on("error", () => {});
    if (this.#proven !== null || this.#unproven.size >= unprovenMax) {
      socket.destroy();
      return;
    }
    this.#unproven.add(socket);
    const patience = this.#clock.after(helloMs, () => socket.destroy());
    const reader = createLineReader();
    const greet = (chunk: Buffer) => {
      const lines = reader.read(chunk);
      if (lines.length === 0) {
        if (reader.heldBytes > helloBytesMax) socket.destroy();
        return;
      }
      this.#unproven.delete(socket);
      patience.cancel();
      socket.off("data", greet);
      const [first = "", ...rest] = lines;
      if (this.#proven !== null || !this.#isOurs(first)) {
        socket.destroy();
        return;
      }
      this.#adopt(socket, reader);
      this.#events.proven(first);
      if (rest.length > 0 && this.#proven === socket) this.#events.lines(rest);
    };
    socket.on("data", greet);
    socket.once("close", () => {
      patience.cancel();
      this.#unproven.delete(socket);
    });
  }

  #adopt(socket: ProgramLink, reader: LineReader): void {
    this.#proven = socket;
    socket.on("data", (chunk: Buffer) => {
      const lines = reader.read(chunk);
      if (lines.length > 0) this.#events.lines(lines);
      if (reader.heldBytes > limits.programLineBytesMax) {
        socket.destroy();
        this.#events.overrun();
      }
    });
    socket.once("close", () => {
      if (this.#proven !== socket) return;
      this.#proven = null;
      this.#events.lost();
    });
  }

  #isOurs(line: string): boolean {
    const session = this.#events.sessionOf(line);
    return session !== null && timingSafeEqual(Buffer.from(hashSession(session), "hex"), this.#sessionHash);
  }
}

interface LineReader {
  /** The lines that `chunk` completes. */
  read(chunk: Buffer): string[];
  /** Bytes of the line that is not complete. */
  readonly heldBytes: number;
}

const newline = 10;

export function createLineReader(): LineReader {
  let held: Buffer[] = [];
  let heldBytes = 0;
  return {
    get heldBytes() {
      return heldBytes;
    },
    read(chunk) {
      const last = chunk.lastIndexOf(newline);
      if (last < 0) {
        held.push(chunk);
        heldBytes += chunk.length;
        return [];
      }
      const whole = chunk.subarray(0, last);
      const text = held.length === 0 ? whole.toString() : Buffer.concat([...held, whole]).toString();
      held = last + 1 < chunk.length ? [chunk.subarray(last + 1)] : [];
      heldBytes = chunk.length - last - 1;
      return text.split("\n").filter((line) => line !== "");
    },
  };
}
