import type { WebSocket } from "ws";
import { SaltError } from "#shared/domain/errors.ts";
import {
  type AgentId,
  type Partition,
  partitionFor,
  partitionOf,
  type RunId,
  runOfTask,
  type TaskId,
} from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Clock } from "#shared/ports.ts";
import { type AgentFrame, type AttemptName, agentBatchSchema } from "#shared/protocol/agent.ts";
import {
  type Claim,
  type ClaimWant,
  type Engine,
  type LeaseRecord,
  type LogEntry,
  leaseKey,
} from "../engine/engine.ts";
import type { GroupMover } from "../engine/mover.ts";
import { parseQueue } from "../state/queues.ts";
import { type FrameDeps, handleFrame } from "./handle-frame.ts";
import type { Hops } from "./hops.ts";
import { JournalFeed } from "./journal-feed.ts";
import { Matching } from "./matching.ts";
import { endSession, raiseSession } from "./raise-session.ts";
import { type Kind, Session } from "./session.ts";

export interface FleetDeps {
  readonly engine: Engine;
  readonly mover: GroupMover;
  readonly clock: Clock;
  readonly partitions: readonly Partition[];
  readonly hops: Hops;
  readonly logger: { warn(fields: object, message: string): void; info(fields: object, message: string): void };
  readonly leaseTtlMs: number;
  readonly parkAfterMs: number;
  /** An agent's session has begun: older ones, at other coordinators, are over. */
  readonly onGreeted: (partition: Partition, agent: AgentId, session: number) => void;
}

type Hello = Extract<AgentFrame, { t: "hello" }>;

const helloWithinMs = 10_000;
const pingEveryMs = 10_000;
/** A26: agents that are greeted at once; of a herd, the others wait their turn. */
const greetingsMax = 64;

/** The agents that are connected here: their sessions, and the leases that these hold. */
export class Fleet {
  readonly #deps: FleetDeps;
  readonly #sessions = new Map<AgentId, Session>();
  readonly #feeds = new Map<RunId, Set<JournalFeed>>();
  readonly matching: Matching;
  readonly #herd: (() => void)[] = [];
  #greetings = 0;
  #closed = false;

  constructor(deps: FleetDeps) {
    this.#deps = deps;
    this.matching = new Matching(deps.partitions, (partition) => deps.mover.poke(partition));
  }

  /** Takes a connection whose bearer may be an agent. */
  accept(socket: WebSocket): void {
    let session: Session | null = null;
    let greeting: Promise<void> | null = null;
    const late = this.#deps.clock.after(helloWithinMs, () => socket.close(1008, "no hello"));
    const pings = this.#keepAlive(socket);
    socket.on("message", (data, isBinary) => {
      const frames = isBinary ? "a binary message" : parseBatch(String(data));
      if (typeof frames === "string") {
        this.#deps.logger.warn({ agent: session?.agent ?? null, problem: frames }, "an agent sent malformed frames");
        // A close frame has room for 123 bytes of reason (RFC 6455, section 5.5).
        socket.close(1007, Buffer.from(`malformed frames: ${frames}`).subarray(0, 120).toString());
        return;
      }
      if (session) {
        this.#handle(session, frames);
        return;
      }
      const hello = frames[0];
      if (greeting) {
        void greeting.then(() => session && this.#handle(session, frames));
        return;
      }
      if (hello?.t !== "hello") {
        socket.close(1008, "hello expected");
        return;
      }
      late.cancel();
      greeting = this.#greet(socket, hello).then(
        (greeted) => {
          session = greeted;
          this.#handle(greeted, frames.slice(1));
        },
        (error: unknown) => {
          this.#deps.logger.warn({ err: error, agent: hello.agent }, "an agent could not be greeted");
          socket.close(1011, "try again");
        },
      );
    });
    socket.on("close", () => {
      late.cancel();
      pings();
      if (session) this.#leave(session);
      else void greeting?.then(() => session && this.#leave(session));
    });
    socket.on("error", (error) => this.#deps.logger.warn({ err: error }, "an agent's connection failed"));
  }

  /** Ends a connection that has been silent over two pings: a half-open one gives no other sign. */
  #keepAlive(socket: WebSocket): () => void {
    let alive = true;
    let timer = this.#deps.clock.after(pingEveryMs, tick);
    const clock = this.#deps.clock;
    socket.on("pong", () => {
      alive = true;
    });
    socket.on("message", () => {
      alive = true;
    });
    function tick(): void {
      if (!alive) {
        socket.terminate();
        return;
      }
      alive = false;
      socket.ping();
      timer = clock.after(pingEveryMs, tick);
    }
    return () => timer.cancel();
  }

  async #greet(socket: WebSocket, hello: Hello): Promise<Session> {
    if (this.#greetings >= greetingsMax) await new Promise<void>((resolve) => this.#herd.push(resolve));
    this.#greetings += 1;
    try {
      return await this.#greetNow(socket, hello);
    } finally {
      this.#greetings -= 1;
      this.#herd.shift()?.();
    }
  }

  async #greetNow(socket: WebSocket, hello: Hello): Promise<Session> {
    const { mover, clock } = this.#deps;
    const partition = partitionFor(this.#deps.partitions.length, "agent", hello.agent);
    const { number, isFirst } = await mover.move(partition, raiseSession, { partition, hello });
    this.onSession(hello.agent, number);
    this.#deps.onGreeted(partition, hello.agent, number);
    const session = new Session(socket, hello, number, clock);
    this.#sessions.set(hello.agent, session);
    this.matching.join(session);
    try {
      const kept = await this.#welcome(session, hello);
      if (!isFirst) await this.#returnOmitted(hello, kept);
    } catch (error) {
      this.#leave(session);
      throw error;
    }
    this.#deps.logger.info({ agent: hello.agent, name: hello.name, session: number }, "agent connected");
    return session;
  }

  /** C14: an agent has a later session, here or at another coordinator. */
  onSession(agent: string, number: number): void {
    const older = this.#sessions.get(agent as AgentId);
    if (!older || older.number >= number) return;
    this.#forget(older);
    older.close(4000, "replaced by a later connection");
  }

  #forget(session: Session): void {
    if (this.#sessions.get(session.agent) === session) this.#sessions.delete(session.agent);
    this.matching.leave(session);
  }

  /** Answers the tasks whose leases it keeps. */
  async #welcome(session: Session, hello: Hello): Promise<ReadonlySet<TaskId>> {
    const { hops } = this.#deps;
    const { held, stale } = await hops.holdLeases(hello.leases, { holder: session.holder });
    session.send({
      t: "welcome",
      session: session.number,
      leaseTtlMs: this.#deps.leaseTtlMs,
      grantHoldMs: limits.grantHoldMs,
      parkAfterMs: this.#deps.parkAfterMs,
      logBytesPerTaskMax: limits.logBytesPerTaskMax,
      leases: [
        ...held.map(({ task, fence }) => ({ task, fence, verdict: "keep" as const })),
        ...stale.map(({ task, fence }) => ({ task, fence, verdict: "stale" as const })),
      ],
    });
    const given = new Map(hello.leases.map((lease) => [lease.task, lease.given]));
    for (const lease of held) this.#keep(session, lease, given.get(lease.task));
    for (const { reason, ...lease } of await hops.cancelReasons(held)) this.#sendStop(session, lease, reason);
    return new Set(held.map(({ task }) => task));
  }

  #keep(session: Session, lease: { task: TaskId; fence: number }, given: number | undefined): void {
    if (given === undefined) {
      session.hold(lease.task, { fence: lease.fence, kind: "task", feed: null, order: Promise.resolve() });
      return;
    }
    const feed = this.#feed(session, lease);
    session.hold(lease.task, { fence: lease.fence, kind: "workflow", feed, order: Promise.resolve() });
    feed.startAfter(given);
  }

  async #returnOmitted(hello: Hello, kept: ReadonlySet<TaskId>): Promise<void> {
    const booked = await this.#deps.hops.heldBy(hello.agent);
    const omitted = booked.filter(({ task }) => !kept.has(task));
    await Promise.all(omitted.map((lease) => this.#deps.hops.giveBack(lease, "omitted")));
  }

  #handle(session: Session, frames: readonly AgentFrame[]): void {
    if (this.#sessions.get(session.agent) !== session) return;
    const onRefused: FrameDeps["onRefused"] = (report) =>
      this.#deps.logger.warn(report, "a report was refused: another attempt decides");
    const deps = { hops: this.#deps.hops, poke: () => this.matching.pokeAll(), onRefused };
    for (const frame of frames) {
      handleFrame(deps, session, frame).catch((error: unknown) => {
        if (this.#closed) return;
        const level = error instanceof SaltError && error.retryable ? "info" : "warn";
        this.#deps.logger[level]({ err: error, agent: session.agent, frame: frame.t }, "a frame was not accepted");
      });
    }
  }

  #leave(session: Session): void {
    session.close(1000, "");
    if (this.#sessions.get(session.agent) !== session) return;
    this.#forget(session);
    const partition = partitionFor(this.#deps.partitions.length, "agent", session.agent);
    const end = { partition, agent: session.agent, session: session.number };
    this.#deps.mover.move(partition, endSession, end).catch(() => undefined);
  }

  /** C14: a lease that its agent never took up or forgot, and that has moved on since, takes up no credit any more. */
  async letGoLost(): Promise<void> {
    for (const session of this.#sessions.values()) {
      const silent = session.silent(this.#deps.leaseTtlMs + limits.grantHoldMs);
      if (silent.length === 0) continue;
      const keys = silent.map(({ task }) => leaseKey(partitionOf(runOfTask(task)), task));
      const { found } = await this.#deps.engine.get(keys);
      for (const [index, { stamp, value }] of found.entries()) {
        const { holder } = JSON.parse(value ?? '{"holder":""}') as LeaseRecord;
        const lease = silent[index];
        if (!lease || (stamp === String(lease.fence) && holder === session.holder)) continue;
        if (session.held.get(lease.task)?.fence === lease.fence) session.drop(lease.task);
      }
      this.matching.pokeAll();
    }
  }

  onClaims(partition: Partition, want: ClaimWant, claims: readonly Claim[] | null): void {
    this.matching.unreserve(want, (holder) => this.#sessionOf(holder));
    if (claims === null) return;
    this.matching.granted(partition, want, claims);
    for (const claim of claims) this.#grant(claim, parseQueue(claim.queue).kind);
    this.matching.pokeAll();
  }

  #sessionOf(holder: string): Session | undefined {
    const session = this.#sessions.get(holder.slice(0, holder.indexOf(":")) as AgentId);
    return session?.holder === holder ? session : undefined;
  }

  #grant(claim: Claim, kind: Kind): void {
    const task = claim.member as TaskId;
    const session = this.#sessionOf(claim.holder);
    if (!session) {
      void this.#deps.hops.giveBack({ task, fence: claim.fence }, "handback").catch(() => undefined);
      return;
    }
    const lease = { task, fence: claim.fence };
    const feed = kind === "workflow" ? this.#feed(session, lease) : null;
    session.hold(task, { fence: claim.fence, kind, feed, order: Promise.resolve() });
    // An attempt before it may have been lost with its agent, without a word.
    this.#deps.hops.forgetProgress(task);
    this.#sendLease(session, lease, feed).catch((error: unknown) => {
      // The grant ends by itself when nobody accepts it.
      session.drop(task);
      this.#deps.logger.warn({ err: error, task }, "a granted lease could not be made");
    });
  }

  async #sendLease(session: Session, lease: { task: TaskId; fence: number }, feed: JournalFeed | null): Promise<void> {
    const { hops } = this.#deps;
    const made = await hops.makeLease({ ...lease, platform: session.offer.platform });
    if (made.kind === "ended") {
      session.drop(lease.task);
      return hops.giveBack(lease, "handback");
    }
    if (made.kind === "early") {
      // Not sent, the grant ends by itself.
      session.drop(lease.task);
      return;
    }
    if (made.kind === "unavailable") {
      session.drop(lease.task);
      const failure = { type: "BinaryUnavailable", message: `Cannot execute the task: ${made.why}.`, retryable: false };
      await hops.settleReport({ ...lease, result: { kind: "fail", failure }, ranMs: 0 }, session.agent);
      return;
    }
    const journal = feed ? await feed.load(session.keptOf(made.parkedBy)) : {};
    session.send({ t: "leases", leases: [{ ...made.lease, ...journal }] });
    feed?.start();
  }

  #feed(session: Session, lease: { task: TaskId; fence: number }): JournalFeed {
    const run = runOfTask(lease.task);
    const feed = new JournalFeed(this.#deps, run, {
      send: (entries) => session.send({ t: "settled", ...lease, entries }),
      close: () => {
        const feeds = this.#feeds.get(run);
        feeds?.delete(feed);
        if (feeds?.size === 0) this.#feeds.delete(run);
      },
    });
    const feeds = this.#feeds.get(run);
    if (feeds) feeds.add(feed);
    else this.#feeds.set(run, new Set([feed]));
    return feed;
  }

  /** What a commit of this coordinator appended to a run's journal. */
  onJournal(run: RunId, entry: LogEntry): void {
    const feeds = this.#feeds.get(run);
    if (feeds) for (const feed of feeds) feed.append(entry);
  }

  /** A run's journal may have grown by another coordinator's commit. */
  onGrown(run: RunId): void {
    for (const feed of this.#feeds.get(run) ?? []) feed.look();
  }

  /** Journals of a partition may have grown without this coordinator having been told. */
  onLost(partition: Partition): void {
    for (const [run, feeds] of this.#feeds) {
      if (partitionOf(run) === partition) for (const feed of feeds) feed.look();
    }
  }

  /** Asks the agent that holds a lease to end the attempt, if it is connected here. */
  stopLease(lease: { holder: string; task: string; fence: number; reason: string }): boolean {
    const session = this.#sessions.get(lease.holder.slice(0, lease.holder.indexOf(":")) as AgentId);
    if (session) this.#sendStop(session, { task: lease.task as TaskId, fence: lease.fence }, lease.reason);
    return session !== undefined;
  }

  #sendStop(session: Session, { task, fence }: AttemptName, reason: string): void {
    session.send({ t: "stop", task, fence, reason, graceMs: limits.killGraceMs });
  }

  isHere(agent: string): boolean {
    return this.#sessions.has(agent as AgentId);
  }

  connected(): number {
    return this.#sessions.size;
  }

  close(): void {
    this.#closed = true;
    // RFC 6455's registry: 1012 is a restart of the service, after which a client is to come again.
    for (const session of [...this.#sessions.values()]) {
      this.#forget(session);
      session.close(1012, "the coordinator is stopping");
    }
  }
}

/** The frames, or what is wrong with them. */
function parseBatch(text: string): AgentFrame[] | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "not JSON";
  }
  const parsed = agentBatchSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  return `${issue?.message ?? "invalid"} at /${issue?.path.join("/") ?? ""}`;
}
