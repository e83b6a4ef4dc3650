import type { Failure } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Result } from "#shared/protocol/agent.ts";
import { taskProtocolVersion } from "#shared/protocol/task.ts";
import type { BinaryCache } from "../cache/binary-cache.ts";
import type { Connection } from "../connection/connection.ts";
import { logUnit } from "../connection/unit.ts";
import { describeExit, failureFrom, failureOf, programExited } from "../failures.ts";
import { type Attempt, isOver, moveAttempt, nameOf } from "../leases/attempt.ts";
import type { AttemptJournal } from "../outbox/attempt-journal.ts";
import type { ProgramExit } from "./launch.ts";
import type { ReadChunk } from "./log-follower.ts";
import { Pool, type PoolIdentity, poolIdentityOf, poolKeyOf } from "./pool.ts";
import { type Answer, type Hello, Program, type ProgramOwner, readHello, type Saying } from "./program.ts";
import type { Values } from "./program-values.ts";
import { bringAll, relayAnswer, relaySaying } from "./relay.ts";
import { type ProcessEvents, type StartDeps, startProgram } from "./start-program.ts";

/** Where the runner hands on what became of an attempt. */
export interface AttemptDesk {
  /** The attempt has this result; its output has been sent. */
  finish(attempt: Attempt, result: Result, ranMs: number, given?: number): void;
  /** They have not begun, or begin anew without loss. */
  handback(attempts: readonly Attempt[]): void;
  /** The process that holds the attempt's answer is gone. */
  hostGone(attempt: Attempt): void;
}

export interface RunnerDeps extends StartDeps {
  readonly cache: BinaryCache;
  readonly values: Values;
  readonly connection: Connection;
  readonly journal: AttemptJournal;
  readonly newProcessId: () => string;
  readonly parkAfterMs: () => number;
}

const helloMs = 30_000;
const idleMs = 60_000;
/** A workflow that others wait behind parks as soon as it only waits (C20). */
const parkSoonMs = 50;

/**
 * Executes attempts: brings what they need, finds or starts a process for each, and makes a result of whatever becomes
 * of it.
 *
 * X1  Tasks get a process strictly in the order in which they became ready, over all pools, so that no pool starves.
 * X2  At most `slots` task processes are busy or starting; idle ones and spares do not count.
 * X3  Exactly one of finish, handback or drop ends every attempt.
 */
export class Runner implements ProgramOwner {
  readonly #deps: RunnerDeps;
  readonly #desk: AttemptDesk;
  readonly #capacity: { slots: number; workflowSlots: number };
  readonly #pools = new Map<string, Pool>();
  readonly #programs = new Map<Program, Pool>();
  readonly #line: Attempt[] = [];
  #workflows = 0;
  #closed = false;

  constructor(deps: RunnerDeps, capacity: { slots: number; workflowSlots: number }, desk: AttemptDesk) {
    this.#deps = deps;
    this.#capacity = capacity;
    this.#desk = desk;
  }

  get programs(): Iterable<Program> {
    return this.#programs.keys();
  }

  /** Tasks that wait for a process. */
  get line(): readonly Attempt[] {
    return this.#line;
  }

  /** Whether every slot is taken by a process at work, so that what waits waits for one of them. */
  get isFull(): boolean {
    return this.#busy().working >= this.#capacity.slots;
  }

  // Admission

  admit(attempt: Attempt): void {
    const { lease } = attempt;
    if (lease.kind === "workflow") this.#workflows += 1;
    if (this.#deps.cache.ready(lease.binary) === null) {
      void this.#prepare(attempt);
      return;
    }
    const input = this.#deps.values.bring(attempt, lease.input);
    const refs = lease.refs === undefined ? undefined : bringAll(this.#deps.values, attempt, lease.refs);
    if (input instanceof Promise || refs instanceof Promise) {
      void this.#prepare(attempt, input, refs);
      return;
    }
    attempt.prepared = { input, ...(refs === undefined ? {} : { refs }) };
    this.#enqueue(attempt);
  }

  async #prepare(
    attempt: Attempt,
    input = this.#deps.values.bring(attempt, attempt.lease.input),
    refs = attempt.lease.refs === undefined ? undefined : bringAll(this.#deps.values, attempt, attempt.lease.refs),
  ): Promise<void> {
    const { lease } = attempt;
    attempt.abort ??= new AbortController();
    const values = Promise.all([input, refs]);
    // Awaited below, after the binary; its failure must not go unheard until then.
    values.catch(() => {});
    try {
      await this.#deps.cache.acquire(lease.binary, lease.binaryBytes, attempt.abort.signal);
    } catch (error) {
      this.#unprepared(attempt, failureFrom(error, "BinaryUnavailable"));
      return;
    }
    try {
      const [readyInput, readyRefs] = await values;
      if (isOver(attempt)) return;
      attempt.prepared = { input: readyInput, ...(readyRefs === undefined ? {} : { refs: readyRefs }) };
      this.#enqueue(attempt);
    } catch (error) {
      this.#unprepared(attempt, failureFrom(error, "ValueUnavailable"));
    }
  }

  #unprepared(attempt: Attempt, failure: Failure): void {
    if (isOver(attempt)) return;
    this.#conclude(attempt, { kind: "fail", failure }, 0);
  }

  #enqueue(attempt: Attempt): void {
    moveAttempt(attempt, "waiting");
    if (attempt.lease.kind === "workflow") this.#poolOf(attempt).waiting.push(attempt);
    else this.#line.push(attempt);
    this.pump();
  }

  // Giving work

  /** Gives what waits to the processes that have room, and starts processes where that helps. */
  pump(): void {
    if (this.#closed) return;
    for (const pool of this.#pools.values()) if (pool.waiting.length > 0) this.#pumpWorkflows(pool);
    for (let head = this.#line[0]; head !== undefined; head = this.#line[0]) {
      const program = this.#findProcess(this.#poolOf(head));
      if (program === null) return;
      this.#line.shift();
      this.#give(program, head);
    }
  }

  #pumpWorkflows(pool: Pool): void {
    while (pool.waiting.length > 0) {
      const program = pool.roomiest(limits.runsPerWorkflowProcessMax);
      const next = program === null ? undefined : pool.waiting.shift();
      if (program === null || next === undefined) break;
      this.#give(program, next);
    }
    const startable = pool.depth(limits.runsPerWorkflowProcessMax);
    while (pool.waiting.length > pool.starting * startable) this.#start(pool);
  }

  #findProcess(pool: Pool): Program | null {
    const { working, starting } = this.#busy();
    const isFree = working < this.#capacity.slots;
    const idle = pool.idle();
    if (idle !== null && isFree) {
      if (pool.identity.policy === "fresh" && pool.starting === 0) this.#start(pool);
      return idle;
    }
    const isWarm = pool.identity.policy === "warm";
    const waiting = this.#line.length;
    if (isFree && (isWarm ? working + starting < this.#capacity.slots : true) && pool.starting < waiting) {
      this.#start(pool);
    }
    return isWarm ? this.#roomBehind(pool) : null;
  }

  /** Room behind short tasks: worth taking even while a further process starts. */
  #roomBehind(pool: Pool): Program | null {
    return pool.depth(1) > 1 ? pool.roomiest(1) : null;
  }

  #busy(): { working: number; starting: number } {
    let working = 0;
    let starting = 0;
    for (const [program, pool] of this.#programs) {
      if (program.kind !== "task") continue;
      if (program.state === "starting") starting += pool.identity.policy === "warm" ? 1 : 0;
      else if (program.line.length > 0) working += 1;
    }
    return { working, starting };
  }

  #give(program: Program, attempt: Attempt): void {
    const { lease, prepared } = attempt;
    if (prepared === null) throw new Error("Broken invariant: what is given has been prepared.");
    const isCrowded = lease.kind === "workflow" && this.#workflows >= this.#capacity.workflowSlots;
    const parkAfterMs = isCrowded ? Math.min(parkSoonMs, this.#deps.parkAfterMs()) : this.#deps.parkAfterMs();
    program.give(attempt, {
      argsId: attempt.argsId,
      kind: lease.kind,
      name: lease.name,
      task: lease.task,
      attempt: lease.attempt,
      ...prepared,
      ...(lease.seed === undefined ? {} : { seed: lease.seed }),
      ...(lease.openedAtMs === undefined ? {} : { openedAtMs: lease.openedAtMs }),
      ...(lease.kind === "workflow" ? { journalEnd: lease.journalEnd ?? 0, parkAfterMs } : {}),
    });
    this.#deps.journal.given(program.id, attempt);
  }

  // Processes

  #poolOf(attempt: Attempt): Pool {
    return this.poolFor(poolIdentityOf(attempt.lease));
  }

  poolFor(identity: PoolIdentity): Pool {
    const key = poolKeyOf(identity);
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = new Pool(identity);
      this.#pools.set(key, pool);
    }
    return pool;
  }

  #start(pool: Pool): void {
    const binaryPath = this.#deps.cache.ready(pool.identity.binary);
    if (binaryPath === null) return;
    const program = this.join(pool, this.#deps.newProcessId());
    const options = { pool: pool.identity, binaryPath };
    program.started = startProgram(this.#deps, program, options, this.eventsOf(program)).catch((error) => {
      this.#deps.logger.error({ error }, "Cannot start a process");
      program.verdict ??= { culprit: null, failure: failureFrom(error, "ProgramExited") };
      this.ended(program, null);
    });
  }

  /** Makes a process of the pool known, and keeps its binary. */
  join(pool: Pool, id: string): Program {
    const program = new Program(this.#deps, { id, kind: pool.identity.kind }, this);
    pool.programs.add(program);
    this.#programs.set(program, pool);
    this.#deps.cache.pin(pool.identity.binary);
    return program;
  }

  eventsOf(program: Program): ProcessEvents {
    return {
      chunk: (attempt, chunk) => this.#printed(program, attempt, chunk),
      flooded: (attempt) => {
        const message = `The attempt printed more than ${limits.logFileBytesMax} bytes.`;
        const failure = failureOf("LogLimitExceeded", message, { retryable: false });
        if (!isOver(attempt)) program.kill({ culprit: attempt, failure });
      },
      proven: (line) => {
        const hello = readHello(line);
        if (hello !== null) this.hello(program, hello);
      },
      silent: () => this.silent(program),
      overrun: () => this.violated(program, `sent a line of more than ${limits.programLineBytesMax} bytes`),
      exited: (exit) => this.ended(program, exit),
    };
  }

  #printed(program: Program, attempt: Attempt, chunk: ReadChunk): void {
    const accepted = () => {
      this.#deps.logWindow.give(chunk.bytes);
      this.#deps.journal.printed(program.id, attempt, chunk);
    };
    const { stream, offset, cut, body } = chunk;
    this.#deps.connection.keep(
      logUnit(
        attempt.key,
        { ...nameOf(attempt), stream, offset, ...body, atMs: this.#deps.clock.nowMs(), ...(cut ? { cut } : {}) },
        accepted,
      ),
    );
  }

  // What programs say

  hello(program: Program, hello: Hello): void {
    if (hello.protocol !== taskProtocolVersion) {
      this.violated(program, `speaks protocol ${hello.protocol}, this agent ${taskProtocolVersion}`);
      return;
    }
    program.saidHello = true;
    if (program.state === "starting") program.state = "ready";
    const working = new Map(hello.working.map((work) => [work.argsId, work]));
    const unheard: Attempt[] = [];
    for (const attempt of [...program.works.values()]) {
      const work = working.get(attempt.argsId);
      if (work === undefined) {
        if (!isOver(attempt)) unheard.push(attempt);
        continue;
      }
      this.#resume(program, attempt, work);
    }
    for (const argsId of working.keys()) {
      if (program.works.has(argsId)) continue;
      // Workflows can be forgotten singly; a task that nobody knows must not run on beside others.
      if (program.kind === "workflow") program.tell(JSON.stringify({ t: "parked", argsId }));
      else program.kill({ culprit: null, failure: null });
    }
    // Their `work` was lost on the way: the program has not begun.
    for (const attempt of unheard) program.lose(attempt);
    if (unheard.length > 0) this.handback(unheard);
    this.pump();
  }

  #resume(program: Program, attempt: Attempt, work: Hello["working"][number]): void {
    // What the program keeps it says again.
    this.#deps.connection.drop(
      (unit) => unit.attempt === attempt.key && (unit.kind === "calls" || unit.kind === "emit"),
    );
    attempt.callsOpen.length = 0;
    attempt.callsAccepted = work.calls ?? attempt.callsAccepted;
    if (attempt.given === 0) attempt.given = work.given;
    program.tell(JSON.stringify({ t: "resume", argsId: attempt.argsId }));
  }

  said(_program: Program, attempt: Attempt, frame: Saying): void {
    relaySaying(this.#deps, attempt, frame);
  }

  answered(program: Program, attempt: Attempt, answer: Answer, ranMs: number): void {
    const pool = this.#programs.get(program);
    pool?.ran(ranMs);
    if (pool?.identity.policy === "fresh") program.recycle();
    relayAnswer(this.#deps, attempt, answer, (result) => {
      program.finished(attempt);
      this.#conclude(attempt, result, ranMs, answer.given);
    });
  }

  violated(program: Program, message: string): void {
    const failure = failureOf("ProtocolViolation", `The program ${message}.`, { retryable: false });
    program.kill({ culprit: program.current, failure });
  }

  silent(program: Program): void {
    this.#deps.logger.debug({ process: program.id }, "A program closed its socket");
  }

  changed(_program: Program): void {
    this.pump();
  }

  // Ends

  /** An error in what is done for an attempt. */
  failed(attempt: Attempt, error: unknown): void {
    const failure = failureFrom(error, "ValueUnavailable");
    const program = this.#programOf(attempt);
    if (attempt.phase === "reporting") {
      program?.finished(attempt);
      this.#desk.finish(attempt, { kind: "fail", failure }, 0);
    } else if (attempt.phase === "running") {
      program?.kill({ culprit: attempt, failure });
    } else if (attempt.phase !== "gone") {
      if (attempt.phase === "given") program?.withdraw(attempt);
      this.#conclude(attempt, { kind: "fail", failure }, 0);
    }
  }

  /** Ends an attempt as the coordinator asks: by a word where it has not begun, else politely and then by force (A50). */
  stop(attempt: Attempt, stop: { reason: string; graceMs: number }): void {
    if (isOver(attempt) || attempt.stop !== null) return;
    attempt.stop = { ...stop, atMs: this.#deps.clock.monotonicMs(), terminated: false };
    if (attempt.phase === "running") {
      attempt.host?.tell(JSON.stringify({ t: "cancel", argsId: attempt.argsId, reason: stop.reason }));
      return;
    }
    this.#takeBack(attempt);
    this.#conclude(attempt, cancelled(attempt, "It had not begun."), 0);
  }

  /** The lease has moved on: ends what is left of the attempt, and says nothing more of it. */
  drop(attempt: Attempt): void {
    if (attempt.phase === "gone") return;
    const program = this.#programOf(attempt);
    if (attempt.phase === "running") {
      if (attempt.lease.kind === "workflow") program?.forget(attempt);
      else program?.kill({ culprit: attempt, failure: null });
    } else if (attempt.phase === "reporting") program?.endAccepted(attempt);
    else this.#takeBack(attempt);
    this.#release(attempt);
    program?.parts?.logs.abandon(attempt);
    this.#deps.connection.drop((unit) => unit.attempt === attempt.key);
  }

  /** The workflow is parked. */
  park(attempt: Attempt): void {
    if (attempt.phase !== "running") return;
    const program = this.#programOf(attempt);
    program?.forget(attempt);
    this.#release(attempt);
    this.pump();
  }

  /** Gives back attempts, wherever they stand. */
  handback(attempts: readonly Attempt[]): void {
    for (const attempt of attempts) {
      this.#takeBack(attempt);
      this.#release(attempt);
    }
    if (attempts.length > 0) this.#desk.handback(attempts);
  }

  #takeBack(attempt: Attempt): void {
    attempt.abort?.abort(new Error("The attempt is no longer wanted."));
    const line = attempt.lease.kind === "workflow" ? this.#poolOf(attempt).waiting : this.#line;
    const index = line.indexOf(attempt);
    if (index >= 0) line.splice(index, 1);
    if (attempt.phase === "given") this.#programOf(attempt)?.withdraw(attempt);
  }

  #conclude(attempt: Attempt, result: Result, ranMs: number, given?: number): void {
    if (attempt.phase !== "reporting") moveAttempt(attempt, "reporting");
    this.#desk.finish(attempt, result, ranMs, given);
  }

  /** The attempt is over for good. */
  #release(attempt: Attempt): void {
    moveAttempt(attempt, "gone");
    this.#over(attempt);
  }

  /** The coordinator has accepted the attempt's report. */
  reported(attempt: Attempt): void {
    attempt.host?.endAccepted(attempt);
    this.#release(attempt);
  }

  /** The attempt's report is on disk, which is as good to its program. */
  stored(attempt: Attempt): void {
    attempt.host?.endAccepted(attempt);
    this.#deps.journal.ended(attempt);
  }

  /** Gives back a workflow whose program cannot go on; it begins anew from its journal. */
  giveUp(attempt: Attempt): void {
    if (isOver(attempt)) return;
    if (attempt.phase === "running") this.#programOf(attempt)?.forget(attempt);
    this.handback([attempt]);
  }

  /** Gives back every workflow: nothing of one is lost when its process ends. */
  handbackWorkflows(): void {
    for (const program of this.#programs.keys()) {
      if (program.kind !== "workflow") continue;
      for (const attempt of [...program.works.values()]) this.giveUp(attempt);
    }
  }

  /** Lets go of what an attempt that is over occupied. */
  #over(attempt: Attempt): void {
    if (attempt.lease.kind === "workflow") this.#workflows -= 1;
    this.#deps.values.release(attempt);
    this.#deps.journal.ended(attempt);
  }

  #programOf(attempt: Attempt): Program | null {
    return attempt.host instanceof Program ? attempt.host : null;
  }

  /** A process has ended, by itself or by force: everything that it held gets its result. */
  ended(program: Program, exit: ProgramExit | null): void {
    const pool = this.#programs.get(program);
    if (pool === undefined || program.state === "gone") return;
    const saidHello = program.saidHello;
    const left = program.end(exit);
    pool.programs.delete(program);
    this.#programs.delete(program);
    this.#deps.cache.unpin(pool.identity.binary);
    if (!saidHello && !this.#closed) this.#neverBegan(pool, program, exit);
    const innocent: Attempt[] = [];
    for (const attempt of left) {
      attempt.host = null;
      if (attempt.phase === "reporting") this.#desk.hostGone(attempt);
      else if (attempt.phase === "given" || isInnocent(program, attempt)) innocent.push(attempt);
      else this.#perished(program, attempt, exit);
    }
    if (!this.#closed) this.handback(innocent);
    this.#deps.journal.forget(program.id);
    program.removeWhenDone();
    this.pump();
  }

  #perished(program: Program, attempt: Attempt, exit: ProgramExit | null): void {
    if (attempt.phase !== "running" || this.#closed) return;
    const ranMs = this.#deps.clock.monotonicMs() - attempt.startedAtMs;
    moveAttempt(attempt, "reporting");
    this.#lastWords(program, attempt, () => {
      this.#conclude(attempt, resultOf(program, attempt, exit), ranMs);
      program.finished(attempt);
    });
  }

  /** Sends the rest of what the attempt printed, then goes on. */
  #lastWords(program: Program, attempt: Attempt, then: () => void): void {
    program.hold(attempt);
    if (program.parts === null) then();
    else program.parts.logs.finish(attempt, null, then);
  }

  /** It ended before its hello. Unless others of its pool are at work, what waited longest for it learns why. */
  #neverBegan(pool: Pool, program: Program, exit: ProgramExit | null): void {
    for (const other of pool.programs) if (other.state === "ready") return;
    const waiting = pool.identity.kind === "workflow" ? pool.waiting : this.#line;
    const affected = waiting.filter((attempt) => this.#poolOf(attempt) === pool);
    const [head, ...rest] = affected;
    if (head === undefined) return;
    this.#takeBack(head);
    moveAttempt(head, "reporting");
    program.parts?.logs.begin(head);
    this.#lastWords(program, head, () => {
      const failure =
        program.verdict?.failure ??
        programExited(exit ?? unknownExit, program.stderrTail(head), "before it said hello");
      this.#conclude(head, { kind: "fail", failure }, 0);
      program.finished(head);
    });
    this.handback(rest);
  }

  /** Looks at what has a deadline. */
  sweep(nowMs: number): void {
    let idle = 0;
    for (const program of [...this.#programs.keys()]) {
      if (program.adopted) this.lookAtAdopted(program);
      if (!program.saidHello && program.verdict === null && nowMs - program.startedAtMs > helloMs) {
        const message = `The program did not say hello within ${helloMs} ms of its start.`;
        program.kill({ culprit: null, failure: failureOf("ProgramSilent", message, { retryable: true }) });
      }
      for (const attempt of program.works.values()) {
        if (attempt.phase === "running") this.#checkDeadlines(program, attempt, nowMs);
      }
      if (!program.isIdle) continue;
      idle += 1;
      if (nowMs - program.idleSinceMs > idleMs || idle > 2 * this.#capacity.slots + 2) program.recycle();
    }
  }

  #checkDeadlines(program: Program, attempt: Attempt, nowMs: number): void {
    const { stop, lease } = attempt;
    if (stop !== null && nowMs >= stop.atMs + stop.graceMs) {
      program.kill({ culprit: attempt, failure: null });
    } else if (stop !== null && !stop.terminated && nowMs >= stop.atMs + stop.graceMs / 2) {
      stop.terminated = true;
      if (program.kind === "task") program.parts?.signal("SIGTERM");
    }
    if (nowMs - attempt.startedAtMs < lease.attemptTimeoutMs) return;
    const message = `The attempt did not end within ${lease.attemptTimeoutMs} ms.`;
    program.kill({ culprit: attempt, failure: failureOf("TimedOut", message, { retryable: true }) });
  }

  /** Nobody tells when a process ends that is not this agent's child. */
  lookAtAdopted(program: Program): void {
    const end = program.parts?.hasEnded?.() ?? null;
    if (end !== null) this.ended(program, end.exit);
  }

  /** Counts an attempt of an earlier life. */
  adopted(attempt: Attempt): void {
    if (attempt.lease.kind === "workflow") this.#workflows += 1;
  }

  /** Kills everything, and resolves when nothing is left of it. */
  async close(): Promise<void> {
    this.#closed = true;
    const programs = [...this.#programs.keys()];
    for (const program of programs) {
      program.kill({ culprit: null, failure: null });
      this.ended(program, null);
    }
    await Promise.all(programs.map((program) => program.started.then(() => program.remove())));
  }
}

const unknownExit: ProgramExit = { code: null, signal: null };

/** Of the workflows in a process that was ended for another's sake. Without a verdict it ended by itself, for any of them. */
const isInnocent = ({ kind, verdict }: Program, attempt: Attempt): boolean =>
  kind === "workflow" && verdict !== null && verdict.culprit !== attempt && attempt.stop === null;

function cancelled(attempt: Attempt, how: string): Result {
  const reason = attempt.stop?.reason ?? "cancelled";
  return { kind: "cancelled", failure: failureOf("CancelledError", `${reason}. ${how}`, { retryable: false }) };
}

/** What really happened to the attempt whose process ended (A51). */
function resultOf(program: Program, attempt: Attempt, exit: ProgramExit | null): Result {
  const failure = program.verdict?.failure ?? null;
  if (failure !== null && program.verdict?.culprit === attempt) return { kind: "fail", failure };
  if (attempt.stop !== null) return cancelled(attempt, `The program ${describeExit(exit ?? unknownExit)}.`);
  if (exit === null && program.adopted) {
    const message = "The agent was away when the program ended, and nothing says how it did.";
    return { kind: "lost", failure: failureOf("AgentLost", message, { retryable: true }) };
  }
  return {
    kind: "fail",
    failure: programExited(exit ?? unknownExit, program.stderrTail(attempt), "without answering"),
  };
}
