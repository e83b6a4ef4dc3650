import type { WebSocket } from "ws";
import { SaltError } from "#shared/domain/errors.ts";
import { type Partition, partitionFor, partitionOf, type RunId, runOfTask, type TaskId } from "#shared/domain/ids.ts";
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
  type Transaction,
} from "../engine/engine.ts";
import type { Draft } from "../engine/move.ts";
import type { GroupMover } from "../engine/mover.ts";
import { parseQueue } from "../state/queues.ts";
import { handleFrame } from "./handle-frame.ts";
import type { Hops } from "./hops.ts";
import { JournalFeed } from "./journal-feed.ts";
import { endSession, raiseSession } from "./raise-session.ts";
import { Session } from "./session.ts";

export interface FleetDeps {
  readonly engine: Engine;
  readonly mover: GroupMover;
  readonly clock: Clock;
  readonly partitions: readonly Partition[];
  readonly hops: Hops;
  readonly logger: { warn(fields: object, message: string): void; info(fields: object, message: string): void };
  readonly leaseTtlMs: number;
  readonly parkAfterMs: number;
}

/** How many leases one claim may take for one agent: what a commit grants is written in it. */
const takenPerClaimMax = 100;
const helloWithinMs = 10_000;
const pingEveryMs = 10_000;

/**
 * The agents that are connected here, matched to the queues that have something in them.
 *
 * L1  `#nonEmpty` is what this coordinator believes of queues: an enqueue adds, a claim that found less than it could
 *     have taken removes, a sweep mends what it did not see.
 * L2  A session is asked for in the commit that can grant to it, never polled.
 */
export class Fleet {
  readonly #deps: FleetDeps;
  readonly #sessions = new Map<string, Session>();
  readonly #nonEmpty = new Map<Partition, Set<string>>();
  readonly #feeds = new Map<RunId, Set<JournalFeed>>();
  #rotation = 0;
  #closed = false;

  constructor(deps: FleetDeps) {
    this.#deps = deps;
    for (const partition of deps.partitions) this.#nonEmpty.set(partition, new Set());
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

  async #greet(socket: WebSocket, hello: Extract<AgentFrame, { t: "hello" }>): Promise<Session> {
    const { mover, clock } = this.#deps;
    const partition = partitionFor(this.#deps.partitions.length, "agent", hello.agent);
    const number = await mover.move(partition, raiseSession, { partition, hello });
    const older = this.#sessions.get(hello.agent);
    if (older) older.close(4000, "replaced by a later connection");
    const session = new Session(socket, hello, number, clock);
    this.#sessions.set(hello.agent, session);
    try {
      await this.#welcome(session, hello);
    } catch (error) {
      this.#leave(session);
      throw error;
    }
    this.#deps.logger.info({ agent: hello.agent, name: hello.name, session: number }, "agent connected");
    return session;
  }

  async #welcome(session: Session, hello: Extract<AgentFrame, { t: "hello" }>): Promise<void> {
    const { hops } = this.#deps;
    const { number } = session;
    const { held, stale } = await hops.holdLeases(hello.leases, { holder: session.holder });
    session.send({
      t: "welcome",
      session: number,
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
    if (number > 1) await this.#returnOmitted(hello, new Set(held.map(({ task }) => task)));
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

  async #returnOmitted(hello: Extract<AgentFrame, { t: "hello" }>, kept: ReadonlySet<TaskId>): Promise<void> {
    const booked = await this.#deps.hops.heldBy(hello.agent);
    const omitted = booked.filter(({ task }) => !kept.has(task));
    await Promise.all(omitted.map((lease) => this.#deps.hops.giveBack(lease, "omitted")));
  }

  #handle(session: Session, frames: readonly AgentFrame[]): void {
    if (this.#sessions.get(session.agent) !== session) return;
    const deps = { hops: this.#deps.hops, poke: () => this.pokeAll() };
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
    this.#sessions.delete(session.agent);
    const partition = partitionFor(this.#deps.partitions.length, "agent", session.agent);
    const end = { partition, agent: session.agent, session: session.number };
    this.#deps.mover.move(partition, endSession, end).catch(() => undefined);
  }

  pokeAll(): void {
    for (const [partition, queues] of this.#nonEmpty) if (queues.size > 0) this.#deps.mover.poke(partition);
  }

  /** C14: a lease that its agent never took up or forgot, and that has moved on since, takes up no credit any more. */
  async letGoLost(partition: Partition): Promise<void> {
    for (const session of this.#sessions.values()) {
      const silent = session
        .silent(this.#deps.leaseTtlMs + limits.grantHoldMs)
        .filter(({ task }) => partitionOf(runOfTask(task)) === partition);
      if (silent.length === 0) continue;
      const { found } = await this.#deps.engine.get(silent.map(({ task }) => leaseKey(partition, task)));
      for (const [index, { stamp, value }] of found.entries()) {
        const { holder } = JSON.parse(value ?? '{"holder":""}') as LeaseRecord;
        const lease = silent[index];
        if (!lease || (stamp === String(lease.fence) && holder === session.holder)) continue;
        if (session.held.get(lease.task)?.fence === lease.fence) session.drop(lease.task);
      }
      this.#deps.mover.poke(partition);
    }
  }

  /** A sweep's look at the engine's own list of queues. */
  sawQueues(partition: Partition, queues: readonly string[]): void {
    const known = this.#nonEmpty.get(partition);
    for (const queue of queues) known?.add(queue);
    if (queues.length > 0) this.#deps.mover.poke(partition);
  }

  wantClaims(partition: Partition, batch: readonly Transaction[]): ClaimWant | null {
    const nonEmpty = this.#nonEmpty.get(partition);
    if (!nonEmpty) return null;
    for (const { writes } of batch) for (const write of writes) if (write.kind === "enqueue") nonEmpty.add(write.queue);
    if (nonEmpty.size === 0 || this.#sessions.size === 0) return null;
    const wants: ClaimWant["wants"][number][] = [];
    for (const session of this.#inTurn()) {
      for (const kind of ["workflow", "task"] as const) {
        const take = Math.min(takenPerClaimMax, session.free(kind));
        if (take === 0) continue;
        const queues = [...nonEmpty].filter((queue) => parseQueue(queue).kind === kind && session.matches(queue));
        if (queues.length > 0) wants.push({ holder: session.holder, queues, take });
      }
    }
    return wants.length > 0 ? { holdMs: limits.grantHoldMs, wants } : null;
  }

  /** Sessions from a rotating start, so that none is always the first to be granted to. */
  #inTurn(): Session[] {
    const sessions = [...this.#sessions.values()];
    this.#rotation = (this.#rotation + 1) % Math.max(1, sessions.length);
    return [...sessions.slice(this.#rotation), ...sessions.slice(0, this.#rotation)];
  }

  onClaims(partition: Partition, want: ClaimWant, claims: readonly Claim[]): void {
    const taken = new Map<string, number>();
    for (const claim of claims) {
      const kind = parseQueue(claim.queue).kind;
      taken.set(`${claim.holder} ${kind}`, (taken.get(`${claim.holder} ${kind}`) ?? 0) + 1);
      this.#grant(claim, kind);
    }
    for (const { holder, queues, take } of want.wants) {
      const kind = queues[0] ? parseQueue(queues[0]).kind : "task";
      if ((taken.get(`${holder} ${kind}`) ?? 0) < take) {
        for (const queue of queues) this.#nonEmpty.get(partition)?.delete(queue);
      }
    }
    if (this.#nonEmpty.get(partition)?.size) this.#deps.mover.poke(partition);
  }

  #grant(claim: Claim, kind: "task" | "workflow"): void {
    const task = claim.member as TaskId;
    const session = this.#sessions.get(claim.holder.slice(0, claim.holder.indexOf(":")));
    if (session?.holder !== claim.holder) {
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
    if (made.kind === "unavailable") {
      session.drop(lease.task);
      const failure = { type: "BinaryUnavailable", message: `Cannot execute the task: ${made.why}.`, retryable: false };
      await hops.settleReport({ ...lease, result: { kind: "fail", failure }, ranMs: 0 }, session.agent);
      return;
    }
    const journalEnd = feed ? { journalEnd: await feed.load() } : {};
    session.send({ t: "leases", leases: [{ ...made.lease, ...journalEnd }] });
    feed?.start();
  }

  #feed(session: Session, lease: { task: TaskId; fence: number }): JournalFeed {
    const run = runOfTask(lease.task);
    const feed = new JournalFeed(
      this.#deps,
      { ...lease, run },
      (entries) => session.send({ t: "settled", ...lease, entries }),
      () => {
        const feeds = this.#feeds.get(run);
        feeds?.delete(feed);
        if (feeds?.size === 0) this.#feeds.delete(run);
      },
    );
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

  onEnqueued(partition: Partition, drafts: readonly Draft[]): void {
    let seen = false;
    for (const { writes } of drafts) {
      for (const write of writes) {
        if (write.kind !== "enqueue") continue;
        this.#nonEmpty.get(partition)?.add(write.queue);
        seen = true;
      }
    }
    if (seen) this.#deps.mover.poke(partition);
  }

  /** Asks the agent that holds a lease to end the attempt. */
  stopLease(lease: { holder: string; task: string; fence: number; reason: string }): void {
    const session = this.#sessions.get(lease.holder.slice(0, lease.holder.indexOf(":")));
    if (session) this.#sendStop(session, { task: lease.task as TaskId, fence: lease.fence }, lease.reason);
  }

  #sendStop(session: Session, { task, fence }: AttemptName, reason: string): void {
    session.send({ t: "stop", task, fence, reason, graceMs: limits.killGraceMs });
  }

  connected(): number {
    return this.#sessions.size;
  }

  close(): void {
    this.#closed = true;
    for (const session of this.#sessions.values()) session.close(1001, "the coordinator is stopping");
    this.#sessions.clear();
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
