import type { TaskId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Timer } from "#shared/ports.ts";
import type { AttemptName, CoordinatorFrame, Lease, Result } from "#shared/protocol/agent.ts";
import type { Connection, Welcome } from "../connection/connection.ts";
import type { AgentDeps } from "../options.ts";
import type { AttemptJournal } from "../outbox/attempt-journal.ts";
import type { Reporter } from "../outbox/reporter.ts";
import { type JournalDeps, relayEntries, relayKept, relayValues, repeatWaits } from "../runner/relay.ts";
import type { AttemptDesk, Runner } from "../runner/runner.ts";
import { type Attempt, attemptKey, isStrict, nameOf, newAttempt } from "./attempt.ts";
import { longRunMs, nextMeanMs, taskCredit } from "./credit.ts";

export interface LeasesDeps extends AgentDeps {
  readonly connection: Connection;
  readonly relay: JournalDeps;
  readonly newArgsId: () => string;
  readonly runner: () => Runner;
  readonly reporter: () => Reporter;
  readonly notes: AttemptJournal;
}

const acceptAfterMs = 150;
const prefetchedMs = 1_000;
const sweepMs = 50;
const idleSweepMs = 1_000;
/** As for numbered frames: an answer may have been lost although the connection lives. */
const askAgainMs = 15_000;
/** So many attempts a frame may name; credit keeps what is held far below. */
const namesMax = 10_000;

/**
 * The leases that this agent holds, from grant to accepted report.
 *
 * H1  Only `renew` keeps a lease, and only one that has no result yet; it goes out at a third of the time to live.
 * H2  A grant that is not reported soon is accepted by `leased`, and `started` says that it is at work (C12).
 * H3  What was taken ahead goes back, uncounted, when the tasks before it turn out to be long (C19).
 * H4  Of a task only the newest fence counts: an older attempt of it is dropped.
 * H5  Where an attempt must not outlast its lease, that is held until a time to live after the last accepted renewal was
 *     sent. A grant alone, which may have been long on its way, holds nothing: it is renewed at once (C17).
 */
export class Leases implements AttemptDesk {
  readonly #deps: LeasesDeps;
  readonly #capacity: { slots: number; workflowSlots: number };
  readonly #attempts = new Map<TaskId, Attempt>();
  #draining = false;
  #leaseTtlMs: number = limits.leaseTtlMs;
  #sweepTimer: Timer | null = null;
  #renewTimer: Timer | null = null;
  #meanRunMs: number | null = null;
  #credit = -1;
  #closed = false;

  constructor(deps: LeasesDeps, capacity: { slots: number; workflowSlots: number }) {
    this.#deps = deps;
    this.#capacity = capacity;
  }

  get count(): number {
    return this.#attempts.size;
  }

  /** Everything held, for `hello`. */
  held(): (AttemptName & { given?: number })[] {
    const held: (AttemptName & { given?: number })[] = [...this.#deps.reporter().loaded];
    for (const attempt of this.#attempts.values()) {
      const isWorkflow = attempt.lease.kind === "workflow";
      held.push({ ...nameOf(attempt), ...(isWorkflow ? { given: attempt.given } : {}) });
    }
    return held.slice(0, namesMax);
  }

  welcomed(welcome: Welcome): void {
    this.#leaseTtlMs = welcome.leaseTtlMs;
    for (const { task, fence, verdict } of welcome.leases) if (verdict === "stale") this.#dropNamed({ task, fence });
    this.#credit = -1;
    this.#sayCredit();
    this.#renew();
    // The acceptance of a grant may have been lost with the connection.
    const leased = [...this.#attempts.values()].filter((attempt) => attempt.accepted && !attempt.reported);
    if (leased.length > 0) this.#deps.connection.control({ t: "leased", leases: leased.map(nameOf) });
    for (const attempt of this.#attempts.values()) {
      attempt.saidStarted = false;
      if (attempt.phase === "running") repeatWaits(this.#deps.relay, attempt);
    }
    this.#watch(sweepMs);
  }

  frame(frame: CoordinatorFrame): void {
    switch (frame.t) {
      case "leases":
        this.#deps.runner().admit(frame.leases.flatMap((lease) => this.#grant(lease) ?? []));
        this.#renewStrict(frame.leases.filter(isStrict));
        this.#watch(sweepMs);
        return;
      case "renewed":
        this.#renewed(frame);
        return;
      case "settled":
        this.#withAttempt(frame, (attempt) => {
          if (relayEntries(this.#deps.relay, attempt, frame.entries)) return;
          this.#deps.logger.error(nameOf(attempt), "Journal entries are missing; giving the workflow back");
          this.#deps.runner().giveUp(attempt);
        });
        return;
      case "values":
        this.#withAttempt(frame, (attempt) => relayValues(this.#deps.relay, attempt, frame.values));
        return;
      case "parked":
        this.#withAttempt(frame, (attempt) => {
          this.#attempts.delete(attempt.lease.task);
          this.#deps.relay.journals.park(attempt.lease.task);
          this.#deps.runner().park(attempt);
        });
        return;
      case "stop":
        this.#withAttempt(frame, (attempt) => this.#deps.runner().stop(attempt, frame));
        return;
      case "stale":
        for (const name of frame.leases) this.#dropNamed(name);
        return;
      case "drain":
        this.drain();
        return;
      default:
        return;
    }
  }

  /** No more leases; what has not begun goes back. */
  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#sayCredit();
    this.#handbackWaiting(() => true);
  }

  /** Takes up an attempt of an earlier life. */
  adopt(attempt: Attempt): void {
    attempt.accepted = true;
    this.#attempts.set(attempt.lease.task, attempt);
    // What has a deadline has it also while no coordinator is there.
    this.#watch(sweepMs);
  }

  finish(attempt: Attempt, result: Result, ranMs: number, given?: number): void {
    // What else goes wrong about an attempt that has its result changes nothing (C11).
    if (attempt.phase !== "reporting" || attempt.reported || this.#closed) return;
    this.#sayProgress(attempt);
    attempt.reported = true;
    this.#deps.relay.journals.forget(attempt.lease.task);
    if (attempt.lease.kind === "task" && attempt.host !== null) this.#meanRunMs = nextMeanMs(this.#meanRunMs, ranMs);
    this.#deps.reporter().report(attempt, result, ranMs, given);
  }

  hostGone(attempt: Attempt): void {
    this.#deps.reporter().hostGone(attempt);
  }

  handback(attempts: readonly Attempt[]): void {
    for (const attempt of attempts) this.#attempts.delete(attempt.lease.task);
    // Without a session nothing is said: the next hello omits them, which gives them back too.
    for (let from = 0; from < attempts.length; from += 1_000) {
      this.#deps.connection.control({ t: "handback", leases: attempts.slice(from, from + 1_000).map(nameOf) });
    }
  }

  /** The coordinator has the report. */
  accepted(attempt: Attempt): void {
    if (this.#attempts.get(attempt.lease.task) === attempt) this.#attempts.delete(attempt.lease.task);
    this.#deps.runner().reported(attempt);
    this.#sayCreditIfMuchChanged();
  }

  #grant(lease: Lease): Attempt | null {
    const known = this.#attempts.get(lease.task);
    if (known !== undefined) {
      if (known.lease.fence >= lease.fence) return null;
      this.#drop(known);
    }
    const attempt = newAttempt(lease, {
      argsId: this.#deps.newArgsId(),
      nowMs: this.#deps.clock.monotonicMs(),
      failed: (failed, error) => this.#deps.runner().failed(failed, error),
    });
    this.#attempts.set(lease.task, attempt);
    relayKept(this.#deps.relay, attempt);
    return attempt;
  }

  #withAttempt(name: AttemptName, then: (attempt: Attempt) => void): void {
    const attempt = this.#attempts.get(name.task);
    if (attempt !== undefined && attempt.lease.fence === name.fence) then(attempt);
  }

  #dropNamed(name: AttemptName): void {
    this.#deps.reporter().dropLoaded(name);
    const attempt = this.#attempts.get(name.task);
    if (attempt !== undefined && attempt.key === attemptKey(name)) this.#drop(attempt);
  }

  #drop(attempt: Attempt): void {
    this.#attempts.delete(attempt.lease.task);
    this.#deps.relay.journals.forget(attempt.lease.task);
    this.#deps.reporter().drop(attempt);
    this.#deps.runner().drop(attempt);
  }

  #renew(): void {
    this.#renewTimer?.cancel();
    if (this.#closed) return;
    const strict: AttemptName[] = [];
    const others: AttemptName[] = [];
    for (const attempt of this.#attempts.values()) {
      if (attempt.reported) continue;
      if (isStrict(attempt.lease)) strict.push(nameOf(attempt));
      else if (attempt.accepted) others.push(nameOf(attempt));
    }
    this.#renewStrict(strict);
    if (others.length > 0) this.#deps.connection.renew({ t: "renew", leases: others.slice(0, namesMax) });
    this.#renewTimer = this.#deps.clock.after(this.#leaseTtlMs / 3, () => this.#renew());
  }

  #renewStrict(strict: readonly AttemptName[]): void {
    if (strict.length === 0) return;
    const leases = strict.slice(0, namesMax).map(({ task, fence }) => ({ task, fence }));
    this.#deps.connection.renew({ t: "renew", leases, at: this.#deps.clock.monotonicMs() });
  }

  /** What has come to its end is not put off any more: coordinators may have seen the lease end. */
  #renewed({ leases, at }: Extract<CoordinatorFrame, { t: "renewed" }>): void {
    if (at === undefined) return;
    const nowMs = this.#deps.clock.monotonicMs();
    for (const name of leases) {
      this.#withAttempt(name, (attempt) => {
        const isOver = attempt.heldUntilMs > 0 && nowMs >= attempt.heldUntilMs;
        if (isOver || !isStrict(attempt.lease)) return;
        attempt.heldUntilMs = Math.max(attempt.heldUntilMs, at + this.#leaseTtlMs);
        this.#deps.notes.held(attempt);
        const { argsId, heldUntilMs: untilMs } = attempt;
        attempt.host?.tell(JSON.stringify({ t: "lease", argsId, untilMs }));
      });
    }
    this.#deps.runner().pump();
  }

  /** Of attempts that must not outlast their lease, those that have not begun; the others are ended with their programs. */
  #handbackUnheld(nowMs: number): void {
    const unheld = [...this.#attempts.values()].filter(({ phase, heldUntilMs, grantedAtMs }) => {
      const untilMs = heldUntilMs > 0 ? heldUntilMs : grantedAtMs + limits.grantHoldMs;
      return nowMs >= untilMs && (phase === "preparing" || phase === "waiting" || phase === "given");
    });
    this.#deps.runner().handback(unheld);
  }

  #watch(afterMs: number): void {
    if (this.#closed) return;
    this.#sweepTimer?.cancel();
    this.#sweepTimer = this.#deps.clock.after(afterMs, () => {
      this.sweep();
      this.#watch(this.#attempts.size > 0 ? sweepMs : idleSweepMs);
    });
  }

  /** Looks at all that has a time: one pass over what is held instead of a timer for each. */
  sweep(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#deps.runner().sweep(nowMs);
    this.#sayCredit();
    this.#handbackPrefetched(nowMs);
    this.#handbackUnheld(nowMs);
    const leased: AttemptName[] = [];
    const started: AttemptName[] = [];
    for (const attempt of this.#attempts.values()) {
      this.#sayProgress(attempt);
      if (attempt.reported) continue;
      this.#askAgain(attempt, nowMs);
      const isLong = attempt.phase === "running" && nowMs - attempt.startedAtMs > longRunMs;
      if (!attempt.accepted && (isLong || nowMs - attempt.grantedAtMs > acceptAfterMs)) {
        attempt.accepted = this.#deps.connection.connected;
        leased.push(nameOf(attempt));
      }
      if (isLong && !attempt.saidStarted) {
        attempt.saidStarted = this.#deps.connection.connected;
        started.push(nameOf(attempt));
      }
    }
    if (leased.length > 0) this.#deps.connection.control({ t: "leased", leases: leased });
    if (started.length > 0) this.#deps.connection.control({ t: "started", leases: started });
  }

  /** What a workflow waits for and nobody answers: the coordinator could not read it, perhaps. */
  #askAgain(attempt: Attempt, nowMs: number): void {
    if (attempt.awaiting.size === 0 && attempt.parking === null) attempt.asksSinceMs = null;
    else if (attempt.asksSinceMs === null) attempt.asksSinceMs = nowMs;
    else if (nowMs - attempt.asksSinceMs > askAgainMs) {
      attempt.asksSinceMs = nowMs;
      repeatWaits(this.#deps.relay, attempt);
    }
  }

  /** Once a sweep at most, however often a program speaks of it. */
  #sayProgress(attempt: Attempt): void {
    if (attempt.progress === null) return;
    this.#deps.connection.ordered({ t: "progress", ...nameOf(attempt), ...attempt.progress });
    attempt.progress = null;
  }

  #handbackPrefetched(nowMs: number): void {
    const runner = this.#deps.runner();
    const behind: Attempt[] = [];
    for (const program of runner.programs) {
      const current = program.line[0];
      if (current === undefined || program.line.length < 2 || nowMs - current.startedAtMs <= longRunMs) continue;
      behind.push(...program.line.slice(1));
    }
    runner.handback(behind);
    if (!runner.isFull) return;
    const isLong = this.#longCount(nowMs) >= this.#capacity.slots;
    this.#handbackWaiting((attempt) => isLong || nowMs - attempt.grantedAtMs > prefetchedMs);
  }

  #handbackWaiting(isDue: (attempt: Attempt) => boolean): void {
    const runner = this.#deps.runner();
    const due: Attempt[] = [];
    for (const attempt of this.#attempts.values()) {
      const hasNotBegun = attempt.phase === "waiting" || attempt.phase === "given" || attempt.phase === "preparing";
      const isPrefetched = attempt.phase === "waiting" && attempt.lease.kind === "task";
      if ((this.#draining ? hasNotBegun : isPrefetched) && isDue(attempt)) due.push(attempt);
    }
    runner.handback(due);
  }

  #longCount(nowMs: number): number {
    let count = 0;
    for (const program of this.#deps.runner().programs) {
      const current = program.line[0];
      if (current !== undefined && nowMs - current.startedAtMs > longRunMs) count += 1;
    }
    return count;
  }

  #wantedCredit(): number {
    if (this.#draining) return 0;
    const long = this.#longCount(this.#deps.clock.monotonicMs());
    return taskCredit({ slots: this.#capacity.slots, long, meanMs: this.#meanRunMs });
  }

  #sayCredit(): void {
    const tasks = this.#wantedCredit();
    if (tasks === this.#credit || !this.#deps.connection.connected) return;
    this.#credit = tasks;
    const workflows = this.#draining ? 0 : this.#capacity.workflowSlots;
    this.#deps.connection.control({ t: "credit", tasks, workflows });
  }

  /** Short tasks let credit grow at once; small changes wait for the sweep. */
  #sayCreditIfMuchChanged(): void {
    if (this.#draining) return;
    const { slots } = this.#capacity;
    const quick = taskCredit({ slots, long: 0, meanMs: this.#meanRunMs });
    if (quick > this.#credit * 1.5 && this.#wantedCredit() > this.#credit * 1.5) this.#sayCredit();
  }

  close(): void {
    this.#closed = true;
    this.#sweepTimer?.cancel();
    this.#renewTimer?.cancel();
  }
}
