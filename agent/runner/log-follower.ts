import { assert } from "#shared/domain/assert.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Clock } from "#shared/ports.ts";
import { type LogFiles, type StreamName, streamNames } from "../ports.ts";
import { encodeChunk, wholeCharacters } from "./log-chunk.ts";
import type { LogWindow } from "./log-window.ts";

/** Where an attempt's output stands, by stream. */
export interface LogProgress {
  /** Bytes of the attempt's stream that have been sent. */
  readonly sent: Record<StreamName, number>;
  /** Bytes that the attempt has printed, as far as they were looked at. */
  readonly seen: Record<StreamName, number>;
  /** Streams that have reached their cap. */
  readonly cut: Record<StreamName, boolean>;
  /** Spans of files that are still to be read. */
  pending: number;
  /** Called once nothing is pending, when the attempt has answered. */
  settled: (() => void) | null;
}

export const newLogProgress = (sent: Record<StreamName, number> = { stdout: 0, stderr: 0 }): LogProgress => ({
  sent: { ...sent },
  seen: { ...sent },
  cut: { stdout: false, stderr: false },
  pending: 0,
  settled: null,
});

export interface LogOwner {
  readonly logs: LogProgress;
}

export interface ReadChunk {
  readonly stream: StreamName;
  readonly offset: number;
  readonly bytes: number;
  /** Position in the file after the chunk. */
  readonly position: number;
  readonly cut: boolean;
  readonly body: { text: string } | { base64: string };
}

interface Span<Owner> {
  readonly owner: Owner;
  readonly stream: StreamName;
  position: number;
  readonly end: number;
}

const chunkBytesMax = 32 * 1024;
const chunksPerTurn = 8;
const lookAfterMs = 20;
const tailBytesMax = 4 * 1024;
const tailLinesMax = 20;

/**
 * Reads what a program prints and says whose it is.
 *
 * F1  Output belongs to the owner that was current when it was looked at, or up to the offsets that its answer names.
 *     While others wait in the program behind the owner (it is not alone) nothing is looked at before it answers, as
 *     they may have begun to print already.
 * F2  A program that prints nothing costs nothing: an answer whose offsets did not move reads no file.
 * F3  Of each stream of an owner at most `bytesMax` is sent; the last chunk says that the stream was cut.
 * F4  One turn of the event loop reads at most 256 KiB, so that a flood delays nobody's renewals (A19, A43).
 */
export class LogFollower<Owner extends LogOwner> {
  readonly #clock: Clock;
  readonly #files: LogFiles;
  readonly #window: LogWindow;
  readonly #bytesMax: () => number;
  readonly #isAlone: () => boolean;
  readonly #events: { chunk(owner: Owner, chunk: ReadChunk): void; flooded(owner: Owner): void };
  readonly #mark: Record<StreamName, number>;
  readonly #spans: Span<Owner>[] = [];
  readonly #buffer = new Uint8Array(chunkBytesMax);
  #owner: Owner | null = null;
  #lookScheduled = false;
  #reading = false;
  #closed = false;

  constructor(
    deps: { clock: Clock; files: LogFiles; window: LogWindow; bytesMax: () => number; isAlone: () => boolean },
    events: { chunk(owner: Owner, chunk: ReadChunk): void; flooded(owner: Owner): void },
    mark: Record<StreamName, number> = { stdout: 0, stderr: 0 },
  ) {
    this.#clock = deps.clock;
    this.#files = deps.files;
    this.#window = deps.window;
    this.#bytesMax = deps.bytesMax;
    this.#isAlone = deps.isAlone;
    this.#events = events;
    this.#mark = { ...mark };
  }

  /** Bytes of the longer file that have been attributed. */
  get position(): number {
    return Math.max(this.#mark.stdout, this.#mark.stderr);
  }

  get marks(): Readonly<Record<StreamName, number>> {
    return this.#mark;
  }

  /** Whether output that somebody's report waits for is still to be read. */
  get isReading(): boolean {
    return this.#spans.length > 0;
  }

  /** From now on output is this owner's. With `shared`, what came before is first attributed to the one before. */
  begin(owner: Owner | null, options: { shared: boolean } = { shared: false }): void {
    if (options.shared && this.#owner !== null && this.#owner !== owner) this.look();
    this.#owner = owner;
  }

  /** Something may have been printed: it is looked at shortly. */
  changed(): void {
    if (this.#lookScheduled || this.#owner === null || this.#closed) return;
    this.#lookScheduled = true;
    this.#clock.after(lookAfterMs, () => {
      this.#lookScheduled = false;
      if (this.#isAlone()) this.look();
      else this.changed();
    });
  }

  /** Attributes what has been printed so far to the current owner. */
  look(): void {
    if (this.#owner === null || this.#closed) return;
    for (const stream of streamNames) this.#attribute(this.#owner, stream, this.#files.size(stream));
    this.#read();
  }

  /** The owner has answered when its files had these lengths; `settled` once all of it has been sent, perhaps at once. */
  finish(owner: Owner, offsets: Readonly<Record<StreamName, number>> | null, settled: () => void): void {
    for (const stream of streamNames) {
      const claimed = offsets?.[stream] ?? Number.POSITIVE_INFINITY;
      if (claimed <= this.#mark[stream] || this.#closed) continue;
      this.#attribute(owner, stream, Math.min(claimed, this.#files.size(stream)), { final: true });
    }
    if (this.#owner === owner) this.#owner = null;
    if (owner.logs.pending > 0) {
      owner.logs.settled = settled;
      this.#read();
      return;
    }
    settled();
  }

  /** What the owner printed is no longer wanted. */
  abandon(owner: Owner): void {
    owner.logs.settled = null;
    for (let index = this.#spans.length - 1; index >= 0; index -= 1) {
      if (this.#spans[index]?.owner === owner) this.#spans.splice(index, 1);
    }
    owner.logs.pending = 0;
    if (this.#owner === owner) this.#owner = null;
  }

  /** What has been printed so far is nobody's. */
  skip(): void {
    for (const stream of streamNames) this.#mark[stream] = Math.max(this.#mark[stream], this.#files.size(stream));
  }

  /** The last lines of the last `bytes` bytes of a stream, at most 20 and 4 KiB. */
  tail(stream: StreamName, bytes: number): string {
    if (this.#closed || bytes <= 0) return "";
    const size = this.#files.size(stream);
    const into = new Uint8Array(Math.min(bytes, tailBytesMax, size));
    const count = this.#files.read(stream, size - into.length, into);
    return new TextDecoder().decode(into.subarray(0, count)).trimEnd().split("\n").slice(-tailLinesMax).join("\n");
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#files.close();
  }

  #attribute(owner: Owner, stream: StreamName, end: number, options: { final: boolean } = { final: false }): void {
    const from = this.#mark[stream];
    if (end <= from) return;
    const whole = options.final ? end : from + this.#wholeBytes(stream, from, end);
    if (whole <= from) return;
    this.#mark[stream] = whole;
    owner.logs.seen[stream] += whole - from;
    if (owner.logs.seen[stream] > limits.logFileBytesMax) this.#events.flooded(owner);
    if (owner.logs.cut[stream]) return;
    owner.logs.pending += 1;
    this.#spans.push({ owner, stream, position: from, end: whole });
  }

  /** Leaves a character that is half written for the next look. */
  #wholeBytes(stream: StreamName, from: number, end: number): number {
    const tail = this.#buffer.subarray(0, Math.min(4, end - from));
    const count = this.#files.read(stream, end - tail.length, tail);
    return end - from - (tail.length - wholeCharacters(tail.subarray(0, count)));
  }

  #read(): void {
    if (this.#reading || this.#closed) return;
    this.#reading = true;
    for (let chunks = 0; this.#spans.length > 0; chunks += 1) {
      if (this.#window.isFull) {
        this.#window.whenRoom(() => this.#readOn());
        return;
      }
      if (chunks === chunksPerTurn) {
        this.#clock.soon(() => this.#readOn());
        return;
      }
      const span = this.#spans[0];
      assert(span !== undefined, "there is a span to read");
      if (!this.#readChunk(span)) this.#endSpan(span);
    }
    this.#reading = false;
  }

  #readOn(): void {
    this.#reading = false;
    this.#read();
  }

  /** False when the span is at its end. */
  #readChunk(span: Span<Owner>): boolean {
    const { logs } = span.owner;
    const { stream } = span;
    if (logs.cut[stream]) return false;
    const room = this.#bytesMax() - logs.sent[stream];
    const left = span.end - span.position;
    const into = this.#buffer.subarray(0, Math.min(chunkBytesMax, left, Math.max(room, 0)));
    const count = into.length === 0 ? 0 : this.#files.read(stream, span.position, into);
    const isLast = count === left;
    const cut = !isLast && count >= room;
    const bytes = into.subarray(0, isLast ? count : wholeCharacters(into.subarray(0, count)));
    if (bytes.length === 0 && !cut) return false;
    span.position += bytes.length;
    this.#window.take(bytes.length);
    const offset = logs.sent[stream];
    logs.sent[stream] += bytes.length;
    logs.cut[stream] = cut;
    const body = encodeChunk(bytes);
    this.#events.chunk(span.owner, { stream, offset, bytes: bytes.length, position: span.position, cut, body });
    return span.position < span.end;
  }

  #endSpan(span: Span<Owner>): void {
    const index = this.#spans.indexOf(span);
    if (index < 0) return;
    this.#spans.splice(index, 1);
    const { logs } = span.owner;
    logs.pending -= 1;
    if (logs.pending > 0 || logs.settled === null) return;
    const { settled } = logs;
    logs.settled = null;
    settled();
  }
}
