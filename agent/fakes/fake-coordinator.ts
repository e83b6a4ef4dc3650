import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { type CallKey, newRunId, partitionAt, type Sha256, type TaskId, taskId } from "#shared/domain/ids.ts";
import {
  type AgentFrame,
  agentBatchSchema,
  agentSubprotocol,
  type CoordinatorFrame,
  type Lease,
  type Report,
} from "#shared/protocol/agent.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import type { FakeBinary } from "./fake-program.ts";

export type Said<T extends AgentFrame["t"]> = Extract<AgentFrame, { t: T }>;

export interface FakeOptions {
  readonly leaseTtlMs?: number;
  readonly parkAfterMs?: number;
  readonly logBytesPerTaskMax?: number;
  /** Accept numbered frames at once. Default true. */
  readonly accepts?: boolean;
  /** Accept renewals, so long after they came. Default 0; null: never. */
  readonly renewsAfterMs?: number | null;
  readonly token?: string;
}

/** A whole coordinator as an agent sees it: the socket and the blob store, with every frame checked and remembered. */
export class FakeCoordinator {
  readonly frames: AgentFrame[] = [];
  readonly blobs = new Map<string, Buffer>();
  readonly gets: string[] = [];
  /** Stands in for the answer to a blob request when it returns true. */
  serveBlob: (request: IncomingMessage, response: ServerResponse, sha256: string) => boolean = () => false;
  /** Where a blob is to be put; null for here. */
  signUpload: (sha256: string) => { url: string; headers: Record<string, string> } | null = () => null;
  /** What to say of each lease in a hello. */
  verdict: (lease: { task: TaskId; fence: number }) => "keep" | "stale" = () => "keep";
  accepts: boolean;
  renewsAfterMs: number | null;
  leaseTtlMs: number;
  port = 0;
  socket: WebSocket | null = null;
  #options: FakeOptions;
  #http: Server | null = null;
  #waiters: (() => void)[] = [];
  readonly #sockets = new Set<WebSocket>();
  #fence = 1;
  #sessions = 0;

  constructor(options: FakeOptions = {}) {
    this.#options = options;
    this.accepts = options.accepts ?? true;
    this.leaseTtlMs = options.leaseTtlMs ?? 30_000;
    this.renewsAfterMs = options.renewsAfterMs === undefined ? 0 : options.renewsAfterMs;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async open(): Promise<void> {
    const http = createServer((request, response) => this.#serve(request, response));
    const sockets = new WebSocketServer({ noServer: true, maxPayload: 1024 * 1024 });
    http.on("upgrade", (request, socket, head) => {
      if (request.headers.authorization !== `Bearer ${this.#options.token ?? "secret"}`) {
        socket.end("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
        return;
      }
      sockets.handleUpgrade(request, socket, head, (opened) => this.#meet(opened));
    });
    await new Promise<void>((resolve) => http.listen(this.port, "127.0.0.1", resolve));
    this.port = (http.address() as AddressInfo).port;
    this.#http = http;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.terminate();
    this.#sockets.clear();
    this.socket = null;
    const http = this.#http;
    this.#http = null;
    http?.closeAllConnections();
    if (http !== null) await new Promise((resolve) => http.close(resolve));
  }

  add(binary: FakeBinary | Buffer): Sha256 {
    const bytes = Buffer.isBuffer(binary) ? binary : binary.bytes;
    const sha256 = createHash("sha256").update(bytes).digest("hex") as Sha256;
    this.blobs.set(sha256, bytes);
    return sha256;
  }

  /** A lease of this binary: a task called `name` with this input. */
  lease(binary: FakeBinary, name: string, input: unknown = null, more: Partial<Lease> = {}): Lease {
    this.add(binary);
    const run = newRunId(partitionAt(0), systemClock, systemRandom);
    this.#fence += 1;
    return {
      task: taskId(run, `${name}#1` as CallKey),
      fence: this.#fence,
      kind: "task",
      project: "shop",
      release: "rel_1",
      binary: binary.sha256,
      binaryBytes: binary.bytes.length,
      name,
      attempt: 1,
      input: { json: JSON.stringify(input) },
      process: "warm",
      attemptTimeoutMs: 60_000,
      ...more,
    };
  }

  flow(binary: FakeBinary, name: string, input: unknown = null, more: Partial<Lease> = {}): Lease {
    return this.lease(binary, name, input, { kind: "workflow", seed: "s", openedAtMs: 1, journalEnd: 0, ...more });
  }

  send(...frames: CoordinatorFrame[]): void {
    this.socket?.send(JSON.stringify(frames));
  }

  /** Grants, grants anew what comes back unbegun (as on a busy machine), and answers the reports. */
  async settle(...leases: Lease[]): Promise<Report[]> {
    this.send({ t: "leases", leases });
    const reports: Report[] = [];
    for (let lease of leases) {
      for (;;) {
        const answer = await this.until(
          `a report of ${lease.task}`,
          () => this.#reportOf(lease) ?? this.#cameBack(lease),
        );
        if (answer !== "came back") {
          reports.push(answer);
          break;
        }
        this.#fence += 1;
        lease = { ...lease, fence: this.#fence };
        this.send({ t: "leases", leases: [lease] });
      }
    }
    return reports;
  }

  #reportOf(lease: { task: TaskId; fence: number }): Report | undefined {
    return this.reports().find((report) => report.task === lease.task && report.fence === lease.fence);
  }

  #cameBack(lease: Lease): "came back" | undefined {
    return this.handedBack([lease]).length > 0 ? "came back" : undefined;
  }

  /** Which of these leases were handed back. */
  handedBack<L extends { task: TaskId; fence: number }>(leases: readonly L[]): L[] {
    const back = this.said("handback").flatMap((frame) => frame.leases);
    return leases.filter(({ task, fence }) => back.some((lease) => lease.task === task && lease.fence === fence));
  }

  reports(): Report[] {
    return this.said("report").flatMap((frame) => frame.reports);
  }

  async report(lease: { task: TaskId; fence: number }): Promise<Report> {
    return await this.until(`a report of ${lease.task}`, () => this.#reportOf(lease));
  }

  said<T extends AgentFrame["t"]>(kind: T): Said<T>[] {
    return this.frames.filter((frame): frame is Said<T> => frame.t === kind);
  }

  /** The bytes of a stream, each offset once, and whether it was cut. */
  output(lease: { task: TaskId; fence: number }, stream: "stdout" | "stderr"): { bytes: Buffer; cut: boolean } {
    const chunks = this.said("logs")
      .flatMap((frame) => frame.chunks)
      .filter((chunk) => chunk.task === lease.task && chunk.fence === lease.fence && chunk.stream === stream);
    const parts: Buffer[] = [];
    let end = 0;
    let cut = false;
    for (const chunk of chunks.sort((a, b) => a.offset - b.offset)) {
      const bytes = chunk.text === undefined ? Buffer.from(chunk.base64 ?? "", "base64") : Buffer.from(chunk.text);
      cut ||= chunk.cut ?? false;
      if (chunk.offset > end) throw new Error(`output is missing from ${end} to ${chunk.offset}`);
      if (chunk.offset + bytes.length <= end) continue;
      parts.push(bytes.subarray(end - chunk.offset));
      end = chunk.offset + bytes.length;
    }
    return { bytes: Buffer.concat(parts), cut };
  }

  /** Waits for frames until `look` finds something. */
  async until<T>(what: string, look: () => T | undefined | null | false, withinMs = 10_000): Promise<T> {
    const deadline = Date.now() + withinMs;
    for (;;) {
      const found = look();
      if (found !== undefined && found !== null && found !== false) return found;
      const leftMs = deadline - Date.now();
      if (leftMs <= 0)
        throw new Error(`waited in vain for ${what}; said: ${JSON.stringify(this.frames).slice(-2_000)}`);
      await new Promise<void>((resolve) => {
        this.#waiters.push(resolve);
        setTimeout(resolve, Math.min(leftMs, 25));
      });
    }
  }

  /** Accepts everything numbered that has been said. */
  acceptAll(): void {
    const seqs = this.frames.flatMap((frame) => ("seq" in frame ? [frame.seq] : []));
    if (seqs.length > 0) this.send({ t: "accepted", ranges: seqs.map((seq): [number, number] => [seq, seq]) });
  }

  /** Cuts the connection without a word. */
  cut(): void {
    this.socket?.terminate();
  }

  #meet(socket: WebSocket): void {
    if (socket.protocol !== agentSubprotocol) {
      socket.close(1002);
      return;
    }
    this.socket = socket;
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("message", (bytes) => {
      const frames = agentBatchSchema.parse(JSON.parse(bytes.toString()));
      for (const frame of frames) this.#take(socket, frame);
      for (const wake of this.#waiters.splice(0)) wake();
    });
  }

  #take(socket: WebSocket, frame: AgentFrame): void {
    this.frames.push(frame);
    if (frame.t === "hello") {
      this.#sessions += 1;
      const welcome: CoordinatorFrame = {
        t: "welcome",
        session: this.#sessions,
        leaseTtlMs: this.leaseTtlMs,
        grantHoldMs: 5_000,
        parkAfterMs: this.#options.parkAfterMs ?? 2_000,
        logBytesPerTaskMax: this.#options.logBytesPerTaskMax ?? 4 * 1024 * 1024,
        leases: frame.leases.map(({ task, fence }) => ({ task, fence, verdict: this.verdict({ task, fence }) })),
      };
      socket.send(JSON.stringify([welcome]));
    } else if (frame.t === "renew") {
      const { leases, at } = frame;
      const renewed = [{ t: "renewed", leases, ...(at === undefined ? {} : { at }) }];
      if (this.renewsAfterMs !== null) setTimeout(() => socket.send(JSON.stringify(renewed)), this.renewsAfterMs);
    } else if ("seq" in frame && this.accepts) {
      socket.send(JSON.stringify([{ t: "accepted", ranges: [[frame.seq, frame.seq]] }]));
    }
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const [sha256 = "", question] = request.url?.replace("/v1/blobs/", "").replace(/\?.*/, "").split("/") ?? [];
    if (request.method === "GET") this.gets.push(sha256);
    if (this.serveBlob(request, response, sha256)) return;
    if (request.headers.authorization !== `Bearer ${this.#options.token ?? "secret"}`) {
      response.writeHead(401).end();
    } else if (question === "upload") {
      request.resume();
      response.writeHead(200).end(JSON.stringify({ present: this.blobs.has(sha256), put: this.signUpload(sha256) }));
    } else if (sha256 === "missing") {
      request.on("data", (text) => {
        const digests: string[] = JSON.parse(String(text)).digests;
        const missing = digests.filter((digest) => !this.blobs.has(digest));
        response.writeHead(200).end(JSON.stringify({ missing }));
      });
    } else if (request.method === "GET") {
      const blob = this.blobs.get(sha256);
      if (blob === undefined) response.writeHead(404).end();
      else response.writeHead(200, { "content-length": blob.length }).end(blob);
    } else {
      const parts: Buffer[] = [];
      request.on("data", (part) => parts.push(part));
      request.on("end", () => {
        const bytes = Buffer.concat(parts);
        const found = createHash("sha256").update(bytes).digest("hex");
        if (found === sha256) this.blobs.set(sha256, bytes);
        response.writeHead(found === sha256 ? 201 : 422).end();
      });
    }
  }
}
