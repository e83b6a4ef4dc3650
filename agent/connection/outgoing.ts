import { limits } from "#shared/domain/limits.ts";
import type { AgentFrame } from "#shared/protocol/agent.ts";
import type { Unit } from "./unit.ts";

/** Room for the brackets, commas and frame heads around what is counted. */
const messageBytesMax = limits.frameBytesMax - 16 * 1024;
const groupBytesMax = 256 * 1024;
const groupUnitsMax = 1_000;

/**
 * What waits to be sent, in the order in which it must arrive.
 *
 * O1  Renewals go before all else.
 * O2  An attempt's output and calls go before its report; `await` and `park` after the calls made before them.
 * O3  No message exceeds `limits.frameBytesMax`.
 */
export class Outgoing {
  #urgent: string[] = [];
  #control: string[] = [];
  #logs: Unit[] = [];
  #ordered: (string | Unit)[] = [];
  #reports: Unit[] = [];
  #window = new Map<number, readonly Unit[]>();
  #unaccepted = new Set<Unit>();
  #seq = 0;

  /** A renewal. */
  renew(frame: AgentFrame): void {
    this.#urgent.push(JSON.stringify(frame));
  }

  /** Credit, and what becomes of grants. */
  control(frame: AgentFrame): void {
    this.#control.push(JSON.stringify(frame));
  }

  /** A frame that keeps its place among calls. */
  ordered(frame: AgentFrame): void {
    this.#ordered.push(JSON.stringify(frame));
  }

  keep(unit: Unit): void {
    this.#unaccepted.add(unit);
    this.#enqueue(unit);
  }

  #enqueue(unit: Unit): void {
    if (unit.kind === "logs") this.#logs.push(unit);
    else if (unit.kind === "report") this.#reports.push(unit);
    else this.#ordered.push(unit);
  }

  /** Numbered frames of this connection that are not accepted. */
  get inFlight(): number {
    return this.#window.size;
  }

  /** Whether nothing waits but reports and logs, which nobody is kept waiting by. */
  get isPatient(): boolean {
    return this.#urgent.length === 0 && this.#control.length === 0 && this.#ordered.length === 0;
  }

  get unacceptedCount(): number {
    return this.#unaccepted.size;
  }

  /** Begins a connection: what was not accepted is sent again, under new numbers; unnumbered frames are made anew by their owners. */
  restart(): void {
    this.#urgent = [];
    this.#control = [];
    this.#logs = [];
    this.#ordered = [];
    this.#reports = [];
    this.#window.clear();
    this.#seq = 0;
    for (const unit of this.#unaccepted) this.#enqueue(unit);
  }

  /** Sends again what the coordinator has not accepted although the connection lives. */
  repeat(): void {
    for (const units of this.#window.values()) {
      for (const unit of units) if (this.#unaccepted.has(unit)) this.#enqueue(unit);
    }
    this.#window.clear();
  }

  accept(ranges: readonly (readonly [number, number])[]): void {
    for (const [from, to] of ranges) {
      for (let seq = from; seq <= Math.min(to, this.#seq); seq += 1) {
        const units = this.#window.get(seq);
        if (units === undefined) continue;
        this.#window.delete(seq);
        for (const unit of units) if (this.#unaccepted.delete(unit)) unit.accepted();
      }
    }
  }

  /** Forgets what a stale attempt, or a program that will say it again, has said. */
  drop(isDropped: (unit: Unit) => boolean): void {
    for (const unit of this.#unaccepted) if (isDropped(unit)) this.#unaccepted.delete(unit);
    const kept = (unit: string | Unit) => typeof unit === "string" || this.#unaccepted.has(unit);
    this.#logs = this.#logs.filter(kept);
    this.#ordered = this.#ordered.filter(kept);
    this.#reports = this.#reports.filter(kept);
  }

  /** What these attempts have said and the coordinator has not accepted, in order. */
  kept<T>(attempts: ReadonlyMap<string, T>): { unit: Unit; attempt: T }[] {
    const found: { unit: Unit; attempt: T }[] = [];
    for (const unit of this.#unaccepted) {
      const attempt = attempts.get(unit.attempt);
      if (attempt !== undefined) found.push({ unit, attempt });
    }
    return found;
  }

  /** Everything that waits, as messages ready to send. */
  take(): string[] {
    const frames = [...this.#urgent, ...this.#control];
    this.#group("logs", "chunks", this.#logs, frames);
    for (const frame of this.#ordered) {
      frames.push(
        typeof frame === "string" ? frame : `{"t":"${frame.kind}","seq":${this.#number([frame])},${frame.text}}`,
      );
    }
    this.#group("report", "reports", this.#reports, frames);
    this.#urgent = [];
    this.#control = [];
    this.#logs = [];
    this.#ordered = [];
    this.#reports = [];
    return packMessages(frames);
  }

  #number(units: readonly Unit[]): number {
    this.#seq += 1;
    this.#window.set(this.#seq, units);
    return this.#seq;
  }

  #group(kind: string, field: string, units: readonly Unit[], frames: string[]): void {
    let group: Unit[] = [];
    let bytes = 0;
    const close = () => {
      if (group.length === 0) return;
      const texts = group.map((unit) => unit.text).join(",");
      frames.push(`{"t":"${kind}","seq":${this.#number(group)},"${field}":[${texts}]}`);
      group = [];
      bytes = 0;
    };
    for (const unit of units) {
      if (bytes + unit.bytes > groupBytesMax || group.length === groupUnitsMax) close();
      group.push(unit);
      bytes += unit.bytes;
    }
    close();
  }
}

function packMessages(frames: readonly string[]): string[] {
  const messages: string[] = [];
  let open: string[] = [];
  let bytes = 0;
  for (const frame of frames) {
    const size = Buffer.byteLength(frame) + 1;
    if (open.length > 0 && (bytes + size > messageBytesMax || open.length === 10_000)) {
      messages.push(`[${open.join(",")}]`);
      open = [];
      bytes = 0;
    }
    open.push(frame);
    bytes += size;
  }
  if (open.length > 0) messages.push(`[${open.join(",")}]`);
  return messages;
}
