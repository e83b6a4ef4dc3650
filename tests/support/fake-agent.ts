import { EventEmitter } from "node:events";
import type { WebSocket } from "ws";
import { sha256, type TaskId } from "#shared/domain/ids.ts";
import type { AgentFrame, CoordinatorFrame, Lease, Result } from "#shared/protocol/agent.ts";
import type { Call, Entry } from "#shared/protocol/common.ts";

/** The agent's end of a connection that is handed to the fleet without a network: real frames, as JSON text. */
export class FakeAgent {
  readonly id: string;
  readonly received: CoordinatorFrame[] = [];
  readonly #socket = new EventEmitter() as EventEmitter & Record<string, unknown>;
  #seq = 0;
  closedWith: { code: number; reason: string } | null = null;
  #waiting: { match: (frame: CoordinatorFrame) => boolean; resolve: (frame: CoordinatorFrame) => void }[] = [];
  #seen = 0;

  constructor(id = `agt_${"0".repeat(25)}1`) {
    this.id = id;
    Object.assign(this.#socket, {
      bufferedAmount: 0,
      send: (text: string) => {
        for (const frame of JSON.parse(text) as CoordinatorFrame[]) this.#receive(frame);
      },
      ping: () => this.#socket.emit("pong"),
      terminate: () => this.#closed(1006, ""),
      close: (code: number, reason: string) => this.#closed(code, reason),
    });
  }

  get socket(): WebSocket {
    return this.#socket as unknown as WebSocket;
  }

  #closed(code: number, reason: string): void {
    if (this.closedWith) return;
    this.closedWith = { code, reason };
    queueMicrotask(() => this.#socket.emit("close"));
  }

  /** The connection is lost. */
  cut(): void {
    this.#closed(1006, "");
  }

  #receive(frame: CoordinatorFrame): void {
    this.received.push(frame);
    for (const waiting of this.#waiting) {
      if (!waiting.match(frame)) continue;
      this.#waiting = this.#waiting.filter((other) => other !== waiting);
      this.#seen = this.received.length;
      waiting.resolve(frame);
      return;
    }
  }

  send(...frames: readonly object[]): void {
    this.#socket.emit("message", Buffer.from(JSON.stringify(frames)), false);
  }

  sendText(text: string): void {
    this.#socket.emit("message", Buffer.from(text), false);
  }

  seq(): number {
    this.#seq += 1;
    return this.#seq;
  }

  hello(more: Partial<Extract<AgentFrame, { t: "hello" }>> = {}): void {
    this.send({
      t: "hello",
      agent: this.id,
      name: "fake",
      pool: "default",
      platform: "linux-x64",
      version: "0",
      labels: {},
      capacity: { tasks: 4, workflows: 4 },
      cached: [],
      leases: [],
      ...more,
    });
  }

  credit(tasks: number, workflows: number): void {
    this.send({ t: "credit", tasks, workflows });
  }

  /** The next frame, in the order of arrival, that matches; frames before it are passed over. */
  next<T extends CoordinatorFrame["t"]>(
    t: T,
    match: (frame: Extract<CoordinatorFrame, { t: T }>) => boolean = () => true,
  ): Promise<Extract<CoordinatorFrame, { t: T }>> {
    const fits = (frame: CoordinatorFrame) => frame.t === t && match(frame as Extract<CoordinatorFrame, { t: T }>);
    for (let index = this.#seen; index < this.received.length; index += 1) {
      const frame = this.received[index];
      if (frame && fits(frame)) {
        this.#seen = index + 1;
        return Promise.resolve(frame as Extract<CoordinatorFrame, { t: T }>);
      }
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no '${t}' frame came; received: ${JSON.stringify(this.received.slice(-5))}`)),
        3_000,
      );
      this.#waiting.push({
        match: fits,
        resolve: (frame) => {
          clearTimeout(timer);
          resolve(frame as Extract<CoordinatorFrame, { t: T }>);
        },
      });
    });
  }

  /** The next `count` leases, over as many frames as it takes. */
  async leases(count = 1): Promise<Lease[]> {
    const leases: Lease[] = [];
    while (leases.length < count) leases.push(...(await this.next("leases")).leases);
    return leases;
  }

  async lease(): Promise<Lease> {
    const [lease] = await this.leases();
    if (!lease) throw new Error("no lease came");
    return lease;
  }

  /** Entries of a workflow's journal up to and with the one that `until` names. */
  async entries(until: (entry: Entry) => boolean): Promise<Entry[]> {
    const entries: Entry[] = [];
    for (;;) {
      entries.push(...(await this.next("settled")).entries);
      if (entries.some(until)) return entries;
    }
  }

  report(lease: { task: TaskId; fence: number }, result: Result, more: object = {}): void {
    this.send({
      t: "report",
      seq: this.seq(),
      reports: [{ task: lease.task, fence: lease.fence, result, ranMs: 1, ...more }],
    });
  }

  done(lease: { task: TaskId; fence: number }, output: unknown = null): void {
    this.report(lease, { kind: "done", output: { json: JSON.stringify(output) } });
  }

  fail(lease: { task: TaskId; fence: number }, failure: Partial<{ type: string; retryable: boolean }> = {}): void {
    this.report(lease, { kind: "fail", failure: { type: "Error", message: "failed", retryable: false, ...failure } });
  }

  calls(lease: { task: TaskId; fence: number }, calls: readonly object[], given = 1): void {
    this.send({ t: "calls", seq: this.seq(), task: lease.task, fence: lease.fence, given, calls });
  }

  /** Asks to park a workflow that has been given so many entries, and waits for these calls. */
  park({ task, fence }: { task: TaskId; fence: number }, given: number, awaiting: readonly string[]): void {
    this.send({ t: "park", task, fence, given, awaiting });
  }
}

export function taskCall(key: string, more: object = {}): Call {
  const name = key.split("#")[0] ?? key;
  const call = { kind: "task", key, name, digest: sha256(key), input: { json: "1" }, awaited: true, ...more };
  return call as unknown as Call;
}
