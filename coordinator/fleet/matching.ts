import { assert } from "#shared/domain/assert.ts";
import type { Partition } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Claim, ClaimWant, Transaction } from "../engine/engine.ts";
import type { Draft } from "../engine/move.ts";
import { parseQueue, type Requirement, satisfies } from "../state/queues.ts";
import type { Kind, Session } from "./session.ts";

/** How many leases one commit may grant: what it grants is written in it. */
const takenPerCommitMax = 100;
/** Queues whose sessions are known; beyond, those of the oldest are sought again when it is met. */
const classesMax = 2_048;

interface Class {
  readonly kind: Kind;
  /** Sessions that may take from it and can take more now, in turn: the first is asked next. */
  readonly free: Set<Session>;
}

/**
 * Which agents are asked for which queues. A commit costs by the queues that have something in them and the sessions
 * that are asked, never by the agents that are connected.
 *
 * L1  `#backlog` is what this coordinator believes of queues: an enqueue adds, a grant takes away, a claim that found less
 *     than it could have taken empties, a sweep mends what it did not see.
 * L2  A session is asked for in the commit that can grant to it, never polled.
 * L3  What a commit under way may grant is reserved, so that commits beside each other never grant above a credit.
 */
export class Matching {
  readonly #sessions = new Map<string, Session>();
  readonly #classes = new Map<string, Class>();
  readonly #backlog = new Map<Partition, Map<string, number>>();
  readonly #poke: (partition: Partition) => void;
  #stopped = false;

  constructor(partitions: readonly Partition[], poke: (partition: Partition) => void) {
    this.#poke = poke;
    for (const partition of partitions) this.#backlog.set(partition, new Map());
  }

  /** Asks no session any more. */
  stop(): void {
    this.#stopped = true;
  }

  join(session: Session): void {
    this.#sessions.set(session.agent, session);
    for (const [queue, known] of this.#classes) {
      if (satisfies(session.offer, parseQueue(queue))) this.#file(session, queue, known);
    }
    session.onFree = (kind) => this.#refile(session, kind);
  }

  leave(session: Session): void {
    if (this.#sessions.get(session.agent) === session) this.#sessions.delete(session.agent);
    for (const { free } of this.#classes.values()) free.delete(session);
    for (const queues of this.#backlog.values()) {
      for (const queue of queues.keys()) if (this.#isElsewhere(queue)) queues.delete(queue);
    }
  }

  pokeAll(): void {
    for (const [partition, queues] of this.#backlog) if (queues.size > 0) this.#poke(partition);
  }

  /** A queue that has members, how many is not known: seen by a sweep, or told by another coordinator. */
  sawQueue(partition: Partition, queue: string): void {
    if (this.#isElsewhere(queue)) return;
    this.#backlog.get(partition)?.set(queue, Number.POSITIVE_INFINITY);
    this.#poke(partition);
  }

  onEnqueued(partition: Partition, drafts: readonly Draft[]): void {
    const backlog = this.#backlog.get(partition);
    if (!backlog) return;
    let seen = false;
    for (const { writes } of drafts) {
      for (const write of writes) {
        if (write.kind !== "enqueue" || this.#isElsewhere(write.queue)) continue;
        backlog.set(write.queue, (backlog.get(write.queue) ?? 0) + 1);
        seen = true;
      }
    }
    if (seen) this.#poke(partition);
  }

  /** Whether a claim could be granted something, as far as is known. */
  couldClaim(partition: Partition): boolean {
    if (this.#stopped) return false;
    for (const queue of this.#backlog.get(partition)?.keys() ?? []) if (this.#classOf(queue).free.size > 0) return true;
    return false;
  }

  /** What a commit of these transactions may grant, which is reserved until `unreserve`. */
  want(partition: Partition, batch: readonly Transaction[]): ClaimWant | null {
    const needs = this.#needs(partition, batch);
    if (needs.size === 0 || this.#sessions.size === 0 || this.#stopped) return null;
    const asked = new Map<string, Asked>();
    let left = takenPerCommitMax;
    for (const [queue, need] of needs) {
      left -= this.#ask(queue, Math.min(need, left), asked);
      if (left === 0) break;
    }
    if (asked.size === 0) return null;
    const wants = Array.from(asked.values(), ({ session, kind, take }) => {
      // All that it can take from, so that what has waited longest goes first.
      const queues = [...needs.keys()].filter(
        (queue) => this.#classOf(queue).kind === kind && session.classes.has(queue),
      );
      return { holder: session.holder, queues, take };
    });
    return { holdMs: limits.grantHoldMs, wants };
  }

  /** Queues into which a batch puts more than a claim takes: another coordinator's agents may be free. */
  *unmet(batch: readonly Transaction[], want: ClaimWant | null): Generator<string> {
    for (const [queue, count] of enqueuedIn(batch)) {
      const wants = want?.wants.filter(({ queues }) => queues.includes(queue)) ?? [];
      if (wants.reduce((sum, { take }) => sum + take, 0) < count) yield queue;
    }
  }

  granted(partition: Partition, want: ClaimWant, claims: readonly Claim[]): void {
    const backlog = this.#backlog.get(partition);
    const taken = new Map<string, number>();
    for (const { holder, queue } of claims) {
      const name = `${parseQueue(queue).kind} ${holder}`;
      taken.set(name, (taken.get(name) ?? 0) + 1);
      const left = (backlog?.get(queue) ?? 0) - 1;
      if (left > 0) backlog?.set(queue, left);
      else backlog?.delete(queue);
    }
    for (const { holder, queues, take } of want.wants) {
      if ((taken.get(`${kindOf(queues)} ${holder}`) ?? 0) < take) for (const queue of queues) backlog?.delete(queue);
    }
  }

  /** The end of what was reserved for a claim, before its grants are held. */
  unreserve(want: ClaimWant, sessionOf: (holder: string) => Session | undefined): void {
    for (const { holder, queues, take } of want.wants) sessionOf(holder)?.reserve(kindOf(queues), -take);
  }

  #needs(partition: Partition, batch: readonly Transaction[]): Map<string, number> {
    const needs = new Map(this.#backlog.get(partition));
    for (const [queue, count] of enqueuedIn(batch)) {
      if (!this.#isElsewhere(queue)) needs.set(queue, (needs.get(queue) ?? 0) + count);
    }
    return needs;
  }

  /** C25: of the queue of an agent that is not here nothing is kept: in a moment its tasks are in another. */
  #isElsewhere(queue: string): boolean {
    const { agent } = parseQueue(queue);
    return agent !== undefined && !this.#sessions.has(agent);
  }

  /** Asks sessions in turn for up to `need` of a queue; answers how many they can take. */
  #ask(queue: string, need: number, asked: Map<string, Asked>): number {
    const { kind, free } = this.#classOf(queue);
    let taken = 0;
    while (taken < need) {
      const [session] = free;
      if (!session) break;
      const take = Math.min(session.free(kind), need - taken);
      assert(take > 0, "only sessions that can take more are filed as free");
      taken += take;
      const name = `${kind} ${session.holder}`;
      const one = asked.get(name);
      if (one) one.take += take;
      else asked.set(name, { session, kind, take });
      session.reserve(kind, take);
      // To the end, so that none is always the first to be granted to.
      if (free.delete(session)) free.add(session);
    }
    return taken;
  }

  #classOf(queue: string): Class {
    const known = this.#classes.get(queue);
    if (known) return known;
    const requirement = parseQueue(queue);
    const made: Class = { kind: requirement.kind, free: new Set() };
    this.#classes.set(queue, made);
    for (const session of this.#candidates(requirement)) {
      if (satisfies(session.offer, requirement)) this.#file(session, queue, made);
    }
    if (this.#classes.size > classesMax) this.#forgetOldest();
    return made;
  }

  #candidates({ agent }: Requirement): Iterable<Session> {
    if (agent === undefined) return this.#sessions.values();
    const session = this.#sessions.get(agent);
    return session ? [session] : [];
  }

  #file(session: Session, queue: string, { kind, free }: Class): void {
    session.classes.add(queue);
    if (session.free(kind) > 0) free.add(session);
  }

  /** A session can take more of a kind, or no more. */
  #refile(session: Session, kind: Kind): void {
    const isFree = session.free(kind) > 0;
    for (const queue of session.classes) {
      const known = this.#classes.get(queue);
      if (known?.kind !== kind) continue;
      if (isFree) known.free.add(session);
      else known.free.delete(session);
    }
  }

  #forgetOldest(): void {
    const [oldest] = this.#classes.keys();
    if (oldest === undefined) return;
    this.#classes.delete(oldest);
    for (const session of this.#sessions.values()) session.classes.delete(oldest);
  }
}

interface Asked {
  readonly session: Session;
  readonly kind: Kind;
  take: number;
}

const kindOf = (queues: readonly string[]): Kind => parseQueue(queues[0] as string).kind;

function enqueuedIn(batch: readonly Transaction[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { writes } of batch) {
    for (const write of writes)
      if (write.kind === "enqueue") counts.set(write.queue, (counts.get(write.queue) ?? 0) + 1);
  }
  return counts;
}
