import type { CallKey } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Clock } from "#shared/ports.ts";
import type { AgentToProgramFrame, ProgramEntry, ProgramFrame, ProgramValue, Work } from "#shared/protocol/task.ts";
import { runWithin } from "../ambient.ts";
import type { Ref } from "../declare/argument.ts";
import type { TaskCallOptions } from "../declare/declare-task.ts";
import type { WorkflowCallOptions } from "../declare/declare-workflow.ts";
import type { WorkflowDefinition } from "../declare/registry.ts";
import { CancelledError, JournalTooLong, NonDeterministicWorkflow, WrongPlace } from "../failures/errors.ts";
import { failureOf } from "../failures/failure.ts";
import { type Texts, toProgramValue } from "../program/texts.ts";
import { createCallBook, missingCall } from "./call-book.ts";
import { digestOf } from "./call-frames.ts";
import { type CallOutbox, createCallOutbox } from "./call-outbox.ts";
import { CallRef } from "./call-ref.ts";
import { encodeArgument } from "./encode-argument.ts";
import { createMailboxes } from "./mailboxes.ts";
import { createParking, type Parking } from "./parking.ts";
import { RestartRequested, runBody } from "./run-body.ts";
import { seededRandom, seededUuid } from "./seeded.ts";
import { isComplete, settleDeferred } from "./settle-call.ts";
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

interface CallSite {
  readonly shielded: boolean;
  /** Makes of the decoded output what the code gets. */
  readonly accept?: (value: unknown) => unknown;
}

/** Only outputs of tasks and child runs stay behind until they are asked for. */
const isOfTask = (call: WorkflowCall): boolean => call.kind === "task" || call.kind === "workflow";

type WorkflowFrame = Extract<AgentToProgramFrame, { t: "settled" | "values" | "accepted" | "resume" }>;

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
  readonly #outbox: CallOutbox;
  readonly #parking: Parking;
  /** Received and not delivered; the first is at `#next`. */
  #entries: ProgramEntry[] = [];
  #next = 0;
  /** Position of the last entry received. */
  #given = 0;
  #values = new Map<string, ProgramValue>();
  /** Awaited after they had settled, in the order of awaiting (W3). */
  #late: WorkflowCall[] = [];
  #nowMs: number;
  #cancelled: string | null = null;
  #body: { state: "running" } | { state: "returned"; text: string } | { state: "threw"; error: unknown } = {
    state: "running",
  };
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

  get given(): number {
    return this.#given;
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
        this.#outbox.resume(this.#given);
    }
    this.#parking.stir();
    // With nothing under way the program is at rest, so the entry can be delivered at once.
    if (this.#phase === "resting") this.#turn();
    else this.#wake();
  }

  /** Forgets the work: it is parked, or has gone elsewhere. */
  close(): void {
    this.#phase = "ended";
    this.#parking.close();
  }

  /** Fails the work from outside of its function, such as for an error that nobody caught. */
  fail(error: unknown): void {
    this.#end({ t: "fail", failure: failureOf(error, { retryable: false }), given: this.#given });
  }

  // What the user's function calls.

  callTask(name: string, argument: unknown, options: TaskCallOptions & CallSite): Ref<unknown> {
    const { key, detached = false, shielded, accept, ...taskOptions } = options;
    const { text, refs } = this.#encode(name, argument);
    const overrides = Object.keys(taskOptions).length > 0 ? { options: taskOptions } : {};
    const body: CallBody = { kind: "task", name, text, refs, detached, ...overrides };
    return this.#call({ base: name.replace("/", ":"), key, shielded, body, accept });
  }

  callWorkflow(name: string, argument: unknown, options: WorkflowCallOptions & CallSite): Ref<unknown> {
    const { key, detached = false, shielded, accept } = options;
    const { text, refs } = this.#encode(name, argument);
    const body: CallBody = { kind: "workflow", name, text, refs, detached };
    return this.#call({ base: name.replace("/", ":"), key, shielded, body, accept });
  }

  callWait(
    body: Extract<CallBody, { kind: "sleep" | "signal" | "event" }>,
    options: CallSite & { key: string | undefined },
  ): Ref<unknown> {
    const base = body.kind === "sleep" ? "sleep" : `${body.kind}:${body.name}`;
    return this.#call({ base, key: options.key, shielded: options.shielded, body, accept: options.accept });
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
    this.#restart = this.#encode("restart", input).text;
    throw new RestartRequested();
  }

  /** The promise of a call's output; made when first wanted. */
  want(call: WorkflowCall): Promise<unknown> {
    if (call.deferred !== null) return call.deferred.promise;
    call.deferred = Promise.withResolvers<unknown>();
    if (this.#phase === "ended") return call.deferred.promise;
    if (call.state === "open" && this.#cancelled !== null && !call.shielded) this.#settleCancelled(call);
    if (call.state === "settled") this.#late.push(call);
    else if (call.stage !== "unsent" && isOfTask(call)) this.#outbox.ask(call, false);
    this.#wake();
    return call.deferred.promise;
  }

  #encode(name: string, argument: unknown): ReturnType<typeof encodeArgument> {
    return encodeArgument(`'${name}'`, argument, (ref) => ref instanceof CallRef && ref.execution === this);
  }

  #call(request: {
    base: string;
    key: string | undefined;
    shielded: boolean;
    body: CallBody;
    accept?: ((value: unknown) => unknown) | undefined;
  }): Ref<unknown> {
    if (this.#phase === "ended") throw new WrongPlace(`Cannot call '${request.base}': the workflow has ended.`);
    const { body, shielded } = request;
    const key = this.#book.keyFor(request.base, request.key);
    if (this.#cancelled !== null && !shielded) throw new CancelledError(this.#cancelled);
    const call: WorkflowCall = {
      key,
      kind: body.kind,
      name: body.kind === "sleep" ? "sleep" : body.name,
      digest: digestOf(body),
      shielded,
      accept: request.accept ?? ((value) => value),
      state: "open",
      outcome: null,
      deferred: null,
      body,
      stage: "unsent",
    };
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

  #bodyEnded(end: { state: "returned"; text: string } | { state: "threw"; error: unknown }): void {
    this.#body = end;
    this.#wake();
  }

  // Delivery.

  /** Takes in one entry; false when the work failed over it. */
  #take(entry: ProgramEntry): boolean {
    if (entry.p <= this.#given) return true;
    if (entry.p !== this.#given + 1) {
      this.fail(new Error(`Journal entry ${entry.p} came after ${this.#given}: the journal has a gap.`));
      return false;
    }
    this.#given = entry.p;
    this.#entries.push(entry);
    if (entry.e !== "called") return true;
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
    const hold = step === "told" && this.#outbox.unsentCount < 256;
    if (!hold) this.#outbox.flush({ given: this.#given, replaying: this.#replaying });
    const again = this.#again;
    this.#again = false;
    this.#phase = "resting";
    if (step === "told" || again) this.#wake();
    else if (step === "idle") this.#settleDown();
  }

  #isEnded(): boolean {
    return this.#phase === "ended";
  }

  get #replaying(): boolean {
    return this.#given < (this.#work.journalEnd ?? 0);
  }

  /** `told`: the code was told and must come to rest. `held`: an output is being fetched (W4). */
  #step(): "passed" | "told" | "held" | "idle" {
    if (this.#body.state === "running" && this.#late.length > 0) return this.#tellLate();
    const entry = this.#entries[this.#next];
    if (entry === undefined) return "idle";
    switch (entry.e) {
      case "called":
        if (this.#book.get(entry.key) === undefined) {
          const thrown = this.#body.state === "threw" ? this.#body : null;
          this.fail(missingCall(entry, this.#outbox.unsent(), thrown));
          return "idle";
        }
        return this.#pass();
      case "settled":
        return this.#deliverSettled(entry);
      case "signal": {
        this.#nowMs = entry.at;
        const call = this.#mailboxes.arrive(entry.name, entry.value);
        this.#pass();
        return call !== null && call.deferred !== null ? this.#tell(call) : "passed";
      }
      case "cancel":
        this.#nowMs = entry.at;
        this.#pass();
        return this.#deliverCancel(entry.reason);
      default:
        return this.#pass();
    }
  }

  #pass(): "passed" {
    this.#next += 1;
    if (this.#next > 1_000) {
      this.#entries = this.#entries.slice(this.#next);
      this.#next = 0;
    }
    return "passed";
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
    settleDeferred(call, value, this.#deps.texts);
    return "told";
  }

  #deliverSettled(entry: SettledEntry): "passed" | "told" | "held" {
    const call = this.#book.get(entry.key);
    // A wait for a signal ends by the signal's own entry, or by its timeout.
    const counts =
      call !== undefined && call.state === "open" && !(call.kind === "signal" && entry.outcome === "succeeded");
    if (counts && call.deferred !== null && this.#body.state === "running") {
      call.outcome = entry;
      if (!isComplete(call, this.#values)) {
        this.#outbox.ask(call, true);
        return "held";
      }
    }
    this.#nowMs = entry.at;
    this.#pass();
    if (!counts) return "passed";
    call.outcome = entry;
    call.state = "settled";
    return call.deferred === null ? "passed" : this.#tell(call);
  }

  #deliverCancel(reason: string): "passed" | "told" {
    this.#cancelled = reason;
    let told = false;
    for (const call of this.#book.all()) {
      if (call.state !== "open" || call.shielded || call.deferred === null) continue;
      this.#settleCancelled(call);
      this.#tell(call);
      told = true;
    }
    return told ? "told" : "passed";
  }

  #settleCancelled(call: WorkflowCall): void {
    const reason = this.#cancelled ?? "";
    call.state = "settled";
    call.outcome = {
      e: "settled",
      p: this.#given,
      at: this.#nowMs,
      key: call.key,
      outcome: "cancelled",
      failure: { type: "CancelledError", message: reason, retryable: false },
    };
  }

  // Rest and end.

  #settleDown(): void {
    if (this.#replaying) return;
    if (this.#body.state === "running") this.#parking.arm();
    else this.#finish(this.#body);
  }

  #finish(body: { state: "returned"; text: string } | { state: "threw"; error: unknown }): void {
    const given = this.#given;
    const { texts } = this.#deps;
    const { folder } = this.#work;
    if (this.#restart !== null) this.#end({ t: "restart", input: toProgramValue(texts, folder, this.#restart), given });
    else if (body.state === "returned")
      this.#end({ t: "done", output: toProgramValue(texts, folder, body.text), given });
    else this.fail(body.error);
  }

  #end(end: WorkEnd): void {
    if (this.#phase === "ended") return;
    this.close();
    this.#deps.end(end);
  }

  /** Asks to be let go when nothing but the journal can move the code. */
  #park(): void {
    if (this.#phase !== "resting" || this.#replaying || this.#body.state !== "running" || !this.#outbox.quiet) return;
    if (this.#late.length > 0 || this.#next < this.#entries.length) return;
    const awaiting: CallKey[] = [];
    for (const call of this.#book.all()) if (call.state === "open" && call.deferred !== null) awaiting.push(call.key);
    if (awaiting.length > 0) this.#deps.send({ t: "park", argsId: this.argsId, given: this.#given, awaiting });
  }
}
