import { assert } from "#shared/domain/assert.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Result } from "#shared/protocol/agent.ts";
import { taskProtocolVersion } from "#shared/protocol/task.ts";
import type { Programs } from "../cache/programs.ts";
import type { Connection } from "../connection/connection.ts";
import { logUnit } from "../connection/unit.ts";
import { failureFrom, failureOf, programExited } from "../failures.ts";
import { type Attempt, isOver, moveAttempt, nameOf } from "../leases/attempt.ts";
import type { AttemptJournal } from "../outbox/attempt-journal.ts";
import type { ProgramExit } from "../ports.ts";
import { checkDeadlines, endIdle } from "./check-deadlines.ts";
import { Dispatch } from "./dispatch.ts";
import { greetProgram } from "./greet-program.ts";
import type { ReadChunk } from "./log-follower.ts";
import { cancelledResult, isInnocent, resultOfEnd, unknownExit } from "./outcome.ts";
import type { Pool, PoolIdentity } from "./pool.ts";
import { Pools } from "./pools.ts";
import { prepareAttempt } from "./prepare-attempt.ts";
import { Program, type ProgramOwner } from "./program.ts";
import type { Values } from "./program-values.ts";
import { type Answer, type Hello, readHello, type Saying } from "./read-frame.ts";
import { relayAnswer, relaySaying } from "./relay.ts";
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
  readonly programs: Programs;
  readonly values: Values;
  readonly connection: Connection;
  readonly journal: AttemptJournal;
  readonly newProcessId: () => string;
  readonly parkAfterMs: () => number;
}

/**
 * Executes attempts: brings what they need, finds or starts a process for each, and makes a result of whatever becomes
 * of it. Exactly one of finish, handback, park or drop ends every attempt.
 */
export class Runner implements ProgramOwner {
  readonly #deps: RunnerDeps;
  readonly #desk: AttemptDesk;
  readonly #slots: number;
  readonly #pools: Pools;
  readonly #dispatch: Dispatch;
  #closed = false;

  constructor(deps: RunnerDeps, capacity: { slots: number; workflowSlots: number }, desk: AttemptDesk) {
    this.#deps = deps;
    this.#slots = capacity.slots;
    this.#desk = desk;
    this.#pools = new Pools(deps.programs);
    this.#dispatch = new Dispatch({ ...deps, pools: this.#pools, start: (pool) => this.#start(pool) }, capacity);
  }

  get programs(): readonly Program[] {
    return this.#pools.programs;
  }

  /** Whether every slot is taken by a process at work, so that what waits waits for one of them. */
  get isFull(): boolean {
    return this.#dispatch.isFull;
  }

  /** Takes up what was granted together: all of it is counted before the first is given to a process. */
  admit(attempts: readonly Attempt[]): void {
    for (const { lease } of attempts) if (lease.kind === "workflow") this.#dispatch.take();
    for (const attempt of attempts) {
      if (isOver(attempt)) continue;
      prepareAttempt(this.#deps, attempt, {
        ready: () => {
          this.#dispatch.enqueue(attempt);
          this.pump();
        },
        failed: (_, failure) => this.#conclude(attempt, { kind: "fail", failure }, 0),
      });
    }
  }

  /** Gives what waits to whoever has room. */
  pump(): void {
    if (!this.#closed) this.#dispatch.pump();
  }

  #start(pool: Pool): void {
    const command = this.#deps.programs.ready(pool.identity);
    assert(command !== null, "a binary that attempts wait for has been verified");
    const program = this.join(pool.identity, this.#deps.newProcessId());
    const options = { pool: pool.identity, command };
    program.started = startProgram(this.#deps, program, options, this.eventsOf(program)).catch((error) => {
      this.#deps.logger.error({ error }, "Cannot start a process");
      program.verdict ??= { culprit: null, failure: failureFrom(error, "ProgramExited") };
      this.ended(program, null);
    });
  }

  /** Makes a process known. */
  join(identity: PoolIdentity, id: string): Program {
    const program = new Program(this.#deps, { id, kind: identity.kind }, this);
    this.#pools.join(this.#pools.for(identity), program);
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

  hello(program: Program, hello: Hello): void {
    if (hello.protocol !== taskProtocolVersion) {
      this.violated(program, `speaks protocol ${hello.protocol}, this agent ${taskProtocolVersion}`);
      return;
    }
    program.saidHello = true;
    if (program.state === "starting") program.state = "ready";
    const unheard = greetProgram(this.#deps, program, hello);
    if (unheard.length > 0) this.handback(unheard);
    this.pump();
  }

  said(program: Program, attempt: Attempt, frame: Saying): void {
    if (frame.t === "unbegun") {
      if (attempt.phase === "reporting" || program.kind !== "task") return;
      program.lose(attempt);
      program.recycle();
      this.handback([attempt]);
      return;
    }
    if (program.kind === "task" && (frame.t === "calls" || frame.t === "await" || frame.t === "park")) {
      this.violated(program, `sent '${frame.t}', which only workflows may`);
      return;
    }
    relaySaying(this.#deps, attempt, frame);
  }

  answered(program: Program, attempt: Attempt, answer: Answer, ranMs: number): void {
    if (answer.t === "restart" && program.kind === "task") {
      this.violated(program, "sent 'restart', which only workflows may");
    }
    const pool = this.#pools.poolOf(program);
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
      this.#takeBack(attempt);
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
    this.#conclude(attempt, cancelledResult(attempt, "It had not begun."), 0);
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
    this.#programOf(attempt)?.forget(attempt);
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
    this.#dispatch.takeBack(attempt);
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
    for (const program of this.#pools.programs) {
      if (program.kind !== "workflow") continue;
      for (const attempt of [...program.works.values()]) this.giveUp(attempt);
    }
  }

  /** Lets go of what an attempt that is over occupied. */
  #over(attempt: Attempt): void {
    if (attempt.lease.kind === "workflow") this.#dispatch.letGo();
    this.#deps.values.release(attempt);
    this.#deps.journal.ended(attempt);
  }

  #programOf(attempt: Attempt): Program | null {
    return attempt.host instanceof Program ? attempt.host : null;
  }

  /** A process has ended, by itself or by force: everything that it held gets its result. */
  ended(program: Program, exit: ProgramExit | null): void {
    const pool = this.#pools.poolOf(program);
    if (pool === null || program.state === "gone") return;
    const { saidHello } = program;
    const left = program.end(exit);
    this.#pools.leave(program);
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
    const nowMs = this.#deps.clock.monotonicMs();
    const ranMs = nowMs - attempt.startedAtMs;
    moveAttempt(attempt, "reporting");
    this.#lastWords(program, attempt, () => {
      this.#conclude(attempt, resultOfEnd(program, attempt, { exit, nowMs }), ranMs);
      program.finished(attempt);
    });
  }

  /** Sends the rest of what the attempt printed, then goes on. */
  #lastWords(program: Program, attempt: Attempt, then: () => void): void {
    program.keepFolderFor(attempt);
    if (program.parts === null) then();
    else program.parts.logs.finish(attempt, null, then);
  }

  /** It ended before its hello. Unless others of its pool are at work, what waited longest for it learns why. */
  #neverBegan(pool: Pool, program: Program, exit: ProgramExit | null): void {
    if (this.#dispatch.startFailed(pool)) return;
    const [head, ...rest] = this.#dispatch.waitingFor(pool);
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
    for (const program of this.#pools.programs) {
      if (program.adopted) this.lookAtAdopted(program);
      checkDeadlines(program, nowMs);
    }
    endIdle(this.#pools.programs, nowMs, 2 * this.#slots + 2);
  }

  /** Nobody tells when a process ends that is not this agent's child. */
  lookAtAdopted(program: Program): void {
    const end = program.parts?.hasEnded?.() ?? null;
    if (end !== null) this.ended(program, end.exit);
  }

  /** Counts an attempt of an earlier life. */
  adopted(attempt: Attempt): void {
    if (attempt.lease.kind === "workflow") this.#dispatch.take();
  }

  /** Kills everything, and resolves when nothing is left of it. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#dispatch.close();
    const programs = this.#pools.programs;
    for (const program of programs) {
      program.kill({ culprit: null, failure: null });
      this.ended(program, null);
    }
    await Promise.all(programs.map((program) => program.started.then(() => program.remove())));
  }
}
