import type { CallKey } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Clock } from "#shared/ports.ts";
import type { AgentToProgramFrame, ProgramEntry, ProgramFrame, ProgramValue, Work } from "#shared/protocol/task.ts";
import { runWithin } from "../ambient.ts";
import type { Ref } from "../declare/argument.ts";
import type { WorkflowDefinition } from "../declare/registry.ts";
import { CancelledError, JournalTooLong, NonDeterministicWorkflow, WrongPlace } from "../failures/errors.ts";
import { failureOf } from "../failures/failure.ts";
import { type Texts, toProgramValue } from "../program/texts.ts";
import { createCallBook, missingCall } from "./call-book.ts";
import { type CallOutbox, createCallOutbox } from "./call-outbox.ts";
import { CallRef } from "./call-ref.ts";
import { encodeArgument } from "./encode-argument.ts";
import { createEntryQueue } from "./entry-queue.ts";
import { createMailboxes } from "./mailboxes.ts";
import { baseOf, newCall, type TaskRequest, taskBody, type WaitRequest, type WorkflowRequest } from "./make-call.ts";
import { createParking, type Parking } from "./parking.ts";
import { RestartRequested, runBody } from "./run-body.ts";
import { seededRandom, seededUuid } from "./seeded.ts";
import { cancelCall, isComplete, tellCall } from "./settle-call.ts";
import type { WorkEnd } from "./work-end.ts";
import type { CallBody, SettledEntry, WorkflowCall } from "./workflow-call.ts";

export interface WorkflowDeps {
  readonly clock: Clock;
  readonly texts: Texts;
  send(frame: ProgramFrame): void;
  /** Called once, when the work has ended. */
  end(end: WorkEnd): void;
  /** A line for the work's log. */
  warn(message: string): void;
}

type WorkflowFrame = Extract<AgentToProgramFrame, { t: "settled" | "values" | "accepted" | "resume" }>;
type Body = { state: "running" } | { state: "returned"; text: string } | { state: "threw"; error: unknown };

/** Only outputs of tasks and child runs stay behind until they are asked for. */
const isOfTask = (call: WorkflowCall): boolean => call.kind === "task" || call.kind === "workflow";
const unsentMax = 256;

/**
 * One piece of workflow work: the user's function, run over the journal. Frames in, frames out; no I/O.
 *
 * W1  Journal entries are delivered one at a time in journal order. After one that the code was told of, the program
 *     comes to rest (the turn of the event loop ends with all its microtasks) before the next.
 * W2  An entry is delivered only after all calls journaled before it have been made. At rest with one of them not made,
 *     the run fails as NonDeterministicWorkflow.
 * W3  Awaiting a call that has already settled takes a rest too, in the order of awaiting and before further entries,
 *     whether or not its output has to be fetched: so live and replay agree.
 * W4  While an output is being fetched nothing else is delivered.
 * W5  Calls are sent at rest, so that `await call()` says at once that the output is wanted.
 */
export class WorkflowExecution {
  readonly argsId: string;
  readonly #deps: WorkflowDeps;
  readonly #work: Work;
  readonly #book = createCallBook();
  readonly #mailboxes = createMailboxes();
  readonly #entries = createEntryQueue();
  readonly #outbox: CallOutbox;
  readonly #parking: Parking;
  readonly #values = new Map<string, ProgramValue>();
  /** Awaited after they had settled, in the order of awaiting (W3). */
  readonly #late: WorkflowCall[] = [];
  #nowMs: number;
  #cancelled: string | null = null;
  #body: Body = { state: "running" };
  #restart: string | null = null;
  #phase: "resting" | "waking" | "turning" | "ended" = "resting";
  /** Something came in during a turn. */
  #again = false;

  constructor(deps: WorkflowDeps, work: Work) {
    this.#deps = deps;
    this.#work = work;
    this.argsId = work.argsId;
    this.#nowMs = work.openedAtMs ?? 0;
    this.#outbox = createCallOutbox({ argsId: work.argsId, folder: work.folder, texts: deps.texts, send: deps.send });
    this.#parking = createParking(deps.clock, work.parkAfterMs, () => this.#park());
  }

  /** Position of the last journal entry received. */
  get given(): number {
    return this.#entries.given;
  }

  /** How many of the calls sent by this process are known to be safe. */
  get acceptedCalls(): number {
    return this.#outbox.acceptedCount;
  }

  /** Begins to run the user's function; what it does becomes frames at the next rest. */
  start(definition: WorkflowDefinition): void {
    const body = runWithin({ kind: "workflow", execution: this, shielded: false }, () =>
      runBody(definition, this.#work, this.#deps.texts),
    );
    body.then(
      (text) => this.#bodyEnded({ state: "returned", text }),
      (error: unknown) => this.#bodyEnded({ state: "threw", error }),
    );
    this.#wake();
  }

  receive(frame: WorkflowFrame): void {
    if (this.#phase === "ended") return;
    switch (frame.t) {
      case "settled":
        for (const entry of frame.entries) if (!this.#take(entry)) return;
        break;
      case "values":
        for (const [key, value] of Object.entries(frame.values)) this.#values.set(key, value);
        break;
      case "accepted":
        if (frame.calls !== undefined) this.#outbox.accepted(frame.calls);
        break;
      case "resume":
        this.#outbox.resume(this.given);
    }
    this.#parking.stir();
    // With nothing under way the program is at rest, so the entry can be delivered at once.
    if (this.#phase === "resting") this.#turn();
    else this.#wake();
  }

  /** Signals that arrived and that no wait took. */
  unread(): { readonly name: string; readonly value: ProgramValue }[] {
    return this.#mailboxes.unread();
  }

  /** Forgets the work: it is parked, or has gone elsewhere. */
  close(): void {
    this.#phase = "ended";
    this.#parking.close();
  }

  /** Fails the work from outside of its function, such as for an error that nobody caught. */
  fail(error: unknown): void {
    this.#end({ t: "fail", failure: failureOf(error, { retryable: false }), given: this.given });
  }

  // What the user's function calls.

  callTask(name: string, argument: unknown, request: TaskRequest): Ref<unknown> {
    return this.#call(taskBody(name, this.#encode(`call '${name}'`, argument), request), request);
  }

  callWorkflow(name: string, argument: unknown, request: WorkflowRequest): Ref<unknown> {
    const { text, refs } = this.#encode(`call '${name}'`, argument);
    return this.#call({ kind: "workflow", name, text, refs, detached: request.detached ?? false }, request);
  }

  callWait(body: Extract<CallBody, { kind: "sleep" | "signal" | "event" }>, request: WaitRequest): Ref<unknown> {
    return this.#call(body, request);
  }

  nowMs(): number {
    return this.#nowMs;
  }

  random(): number {
    return seededRandom(this.#work.seed ?? "", this.#book.count("random"));
  }

  uuid(): string {
    return seededUuid(this.#work.seed ?? "", this.#book.count("uuid"));
  }

  restart(input: unknown): never {
    const { text, refs } = this.#encode("restart", input);
    if (refs.length > 0) throw new WrongPlace("Cannot restart: the input holds a ref. Await it and pass the value.");
    this.#restart = text;
    throw new RestartRequested();
  }

  /** The promise of a call's output; made when first wanted. */
  want(call: WorkflowCall): Promise<unknown> {
    if (call.deferred !== null) return call.deferred.promise;
    call.deferred = Promise.withResolvers<unknown>();
    if (this.#phase === "ended") return call.deferred.promise;
    if (call.state === "open" && this.#cancelled !== null && !call.shielded) cancelCall(call, this.#cancelled);
    if (call.state === "settled") this.#late.push(call);
    else if (call.stage !== "unsent" && isOfTask(call)) this.#outbox.ask(call, false);
    this.#wake();
    return call.deferred.promise;
  }

  #encode(what: string, argument: unknown): ReturnType<typeof encodeArgument> {
    return encodeArgument(what, argument, (ref) => ref instanceof CallRef && ref.execution === this);
  }

  #call(body: CallBody, request: WaitRequest | TaskRequest): Ref<unknown> {
    const base = baseOf(body);
    // Code that is left over when its work has ended gets a ref that never settles: it stops where it awaits it.
    if (this.#phase === "ended") return new CallRef(this, newCall(base as CallKey, body, request));
    const key = this.#book.keyFor(base, request.key);
    if (this.#cancelled !== null && !request.shielded) throw new CancelledError(this.#cancelled);
    const call = newCall(key, body, request);
    this.#add(call);
    if (body.kind === "signal") this.#mailboxes.wait(body.name, call);
    return new CallRef(this, call);
  }

  #add(call: WorkflowCall): void {
    try {
      this.#book.add(call);
    } catch (error) {
      if (error instanceof NonDeterministicWorkflow || error instanceof JournalTooLong) this.fail(error);
      throw error;
    }
    if (call.stage === "unsent") this.#outbox.addCall(call);
    if (this.#book.size === limits.callsWarnAt) {
      this.#deps.warn(
        `The run has made ${limits.callsWarnAt} calls; at ${limits.callsMax} it fails with JournalTooLong. ` +
          "Consider going on as a new run with restart(input).",
      );
    }
    this.#wake();
  }

  #bodyEnded(end: Body): void {
    this.#body = end;
    this.#wake();
  }

  // Delivery.

  /** Takes in one entry; false when the work failed over it. */
  #take(entry: ProgramEntry): boolean {
    const { given } = this;
    const taken = this.#entries.add(entry);
    if (taken === "gap") {
      this.fail(new Error(`Journal entry ${entry.p} came after ${given}: the journal has a gap.`));
      return false;
    }
    if (taken === "old" || entry.e !== "called") return true;
    this.#outbox.journaled(entry.key);
    try {
      this.#book.note(entry);
      return true;
    } catch (error) {
      this.fail(error);
      return false;
    }
  }

  #wake(): void {
    this.#again ||= this.#phase === "turning";
    if (this.#phase !== "resting") return;
    this.#phase = "waking";
    this.#parking.stir();
    this.#deps.clock.soon(() => {
      if (this.#phase === "waking") this.#turn();
    });
  }

  /** At rest: delivers what can be delivered, up to the first thing that the code is told of. */
  #turn(): void {
    this.#phase = "turning";
    let step = this.#step();
    while (step === "passed") step = this.#step();
    if (this.#isEnded()) return;
    // More may be called over the entries at hand; one frame then carries it all.
    const hold = step === "told" && this.#outbox.unsentCount < unsentMax;
    if (!hold) this.#outbox.flush({ given: this.given, replaying: this.#replaying });
    const again = this.#again;
    this.#again = false;
    this.#phase = "resting";
    if (step === "told" || again) this.#wake();
    else if (step === "idle") this.#settleDown();
  }

  #isRunning(): boolean {
    return this.#body.state === "running";
  }

  #isEnded(): boolean {
    return this.#phase === "ended";
  }

  get #replaying(): boolean {
    return this.given < (this.#work.journalEnd ?? 0);
  }

  /** `told`: the code was told and must come to rest. `held`: an output is being fetched (W4). */
  #step(): "passed" | "told" | "held" | "idle" {
    if (this.#isRunning() && this.#late.length > 0) return this.#tellLate();
    const entry = this.#entries.head();
    if (entry === undefined) return "idle";
    // A function that has returned is told nothing more: what is left is compared with the calls it made (W2).
    if (entry.e === "settled" && this.#isRunning()) return this.#deliverSettled(entry);
    if (entry.e === "called" && this.#book.get(entry.key) === undefined) {
      const thrown = this.#body.state === "threw" ? this.#body : null;
      this.fail(missingCall(entry, this.#outbox.unsent(), thrown));
      return "idle";
    }
    this.#entries.pass();
    if (entry.e === "signal" && !this.#isRunning()) this.#mailboxes.keep(entry.name, entry.value);
    if (!this.#isRunning() || (entry.e !== "signal" && entry.e !== "cancel")) return "passed";
    this.#nowMs = entry.at;
    if (entry.e === "cancel") return this.#deliverCancel(entry.reason);
    const call = this.#mailboxes.arrive(entry.name, entry.value);
    return call !== null && call.deferred !== null ? this.#tell(call) : "passed";
  }

  #tellLate(): "told" | "held" {
    const call = this.#late[0] as WorkflowCall;
    if (!isComplete(call, this.#values)) {
      for (const waiting of this.#late) if (!isComplete(waiting, this.#values)) this.#outbox.ask(waiting, true);
      return "held";
    }
    this.#late.shift();
    return this.#tell(call);
  }

  #tell(call: WorkflowCall): "told" {
    const value = call.outcome?.value ?? this.#values.get(call.key);
    this.#values.delete(call.key);
    tellCall(call, value, this.#deps.texts);
    return "told";
  }

  #deliverSettled(entry: SettledEntry): "passed" | "told" | "held" {
    const call = this.#book.get(entry.key);
    // A wait for a signal ends by the signal's own entry, or by its timeout.
    const counts = call?.state === "open" && !(call.kind === "signal" && entry.outcome === "succeeded");
    if (counts) call.outcome = entry;
    if (counts && call.deferred !== null && !isComplete(call, this.#values)) {
      this.#outbox.ask(call, true);
      return "held";
    }
    this.#nowMs = entry.at;
    this.#entries.pass();
    if (!counts) return "passed";
    call.state = "settled";
    return call.deferred === null ? "passed" : this.#tell(call);
  }

  #deliverCancel(reason: string): "passed" | "told" {
    this.#cancelled = reason;
    let told = false;
    for (const call of this.#book.all()) {
      if (call.state !== "open" || call.shielded || call.deferred === null) continue;
      cancelCall(call, reason);
      this.#tell(call);
      told = true;
    }
    return told ? "told" : "passed";
  }

  // Rest and end.

  #settleDown(): void {
    if (this.#replaying) return;
    if (this.#body.state === "running") this.#parking.arm();
    else this.#finish(this.#body);
  }

  #finish(body: Exclude<Body, { state: "running" }>): void {
    const toValue = (text: string): ProgramValue => toProgramValue(this.#deps.texts, this.#work.folder, text);
    const { given } = this;
    if (this.#restart !== null) this.#end({ t: "restart", input: toValue(this.#restart), given });
    else if (body.state === "returned") this.#end({ t: "done", output: toValue(body.text), given });
    else this.fail(body.error);
  }

  #end(end: WorkEnd): void {
    if (this.#phase === "ended") return;
    this.close();
    this.#deps.end(end);
  }

  /** Asks to be let go when nothing but the journal can move the code. */
  #park(): void {
    if (this.#phase !== "resting" || this.#replaying || !this.#isRunning() || !this.#outbox.quiet) return;
    if (this.#late.length > 0 || this.#entries.head() !== undefined) return;
    const waiting = [...this.#book.all()].filter((call) => call.state === "open" && call.deferred !== null);
    if (waiting.length === 0) return;
    this.#deps.send({ t: "park", argsId: this.argsId, given: this.given, awaiting: waiting.map((call) => call.key) });
  }
}
