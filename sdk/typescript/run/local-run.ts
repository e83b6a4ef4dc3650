import type { Failure } from "#shared/domain/errors.ts";
import type { CallKey } from "#shared/domain/ids.ts";
import type { ProgramCall, ProgramEntry, ProgramFrame, ProgramValue, Work } from "#shared/protocol/task.ts";
import { CancelledError, UnknownTaskType } from "../failures/errors.ts";
import { failureOf } from "../failures/failure.ts";
import { textOf } from "../program/texts.ts";
import type { WorkEnd } from "../workflow/work-end.ts";
import { WorkflowExecution } from "../workflow/workflow-execution.ts";
import { createLocalJournal, failed, type LocalJournal, type Outcome, succeeded } from "./local-journal.ts";
import type { LocalTasks, LocalTasksDeps } from "./local-tasks.ts";

export interface LocalSignal {
  readonly name: string;
  readonly value: ProgramValue;
}

export interface LocalRunDeps extends LocalTasksDeps {
  readonly tasks: LocalTasks;
  /** What is under way in the whole tree of runs: with nothing left, a wait waits for ever. */
  readonly activity: { count: number };
}

export type LocalOutcome =
  | { readonly kind: "succeeded"; readonly output: ProgramValue }
  | { readonly kind: "failed"; readonly failure: Failure }
  /** Nothing will ever come to what it awaits. */
  | { readonly kind: "stuck"; readonly awaiting: readonly CallKey[] };

/** Rest that a workflow must have had before it counts as stuck. */
const stuckAfterMs = 20;

/**
 * One run in this process: the workflow core over a journal in memory, with tasks, children and timers beside it. The
 * order and the encoding are those of Salt; nothing is durable.
 */
export class LocalRun {
  readonly #deps: LocalRunDeps;
  readonly #journal: LocalJournal;
  readonly #stop = new AbortController();
  readonly #children = new Map<CallKey, LocalRun>();
  readonly #ended = Promise.withResolvers<LocalOutcome>();
  readonly #name: string;
  readonly #signals: LocalSignal[];
  #execution: WorkflowExecution;
  #pending: ProgramEntry[] = [];
  #sent = 0;
  #over = false;

  constructor(deps: LocalRunDeps, run: Pick<Work, "name" | "input" | "refs"> & { signals: readonly LocalSignal[] }) {
    this.#deps = deps;
    this.#name = run.name;
    this.#signals = [...run.signals];
    this.#journal = createLocalJournal(deps.clock, (entry) => this.#deliver(entry));
    const work: Work = {
      t: "work",
      argsId: "run",
      kind: "workflow",
      name: run.name,
      task: "run",
      attempt: 1,
      input: run.input,
      refs: { ...run.refs },
      folder: deps.newFolder(),
      seed: Buffer.from(deps.random.bytes(16)).toString("hex"),
      openedAtMs: deps.clock.nowMs(),
      journalEnd: 0,
      parkAfterMs: stuckAfterMs,
    };
    this.#execution = new WorkflowExecution(
      {
        clock: deps.clock,
        texts: deps.host.texts,
        send: (frame) => this.#receive(frame),
        end: (end) => this.#end(end),
        warn: (message) => deps.say(`! ${message}`),
      },
      work,
    );
  }

  /** Runs to the end. A workflow that restarts goes on as a new run. */
  run(): Promise<LocalOutcome> {
    const definition = this.#deps.registry.workflows.get(this.#name);
    if (definition === undefined) {
      const error = new UnknownTaskType(`Cannot run '${this.#name}': the workflow is not declared here.`);
      return Promise.resolve({ kind: "failed", failure: failureOf(error) });
    }
    for (const signal of this.#signals) {
      this.#journal.append({ e: "signal", id: signal.name, name: signal.name, value: signal.value });
    }
    this.#execution.start(definition);
    return this.#ended.promise;
  }

  cancel(reason: string): void {
    if (this.#over) return;
    this.#journal.append({ e: "cancel", reason });
    this.#stopCalls(reason, (call) => call.shielded !== true);
  }

  /** Entries reach the program in a later turn, as they would over a socket. */
  #deliver(entry: ProgramEntry): void {
    this.#pending.push(entry);
    if (this.#pending.length > 1) return;
    this.#deps.clock.soon(() => {
      const entries = this.#pending;
      this.#pending = [];
      this.#execution.receive({ t: "settled", argsId: "run", entries });
    });
  }

  #receive(frame: ProgramFrame): void {
    if (frame.t === "park") this.#rest(frame.awaiting);
    if (frame.t !== "calls") return;
    this.#sent += frame.calls.length;
    for (const call of frame.calls) if (this.#journal.call(call)) this.#begin(call);
    this.#execution.receive({ t: "accepted", argsId: "run", calls: this.#sent });
  }

  #rest(awaiting: readonly CallKey[]): void {
    // A run that waits for a child is as stuck as the child, which says for what.
    const waitsForChild = awaiting.some((key) => this.#children.has(key));
    if (this.#deps.activity.count > 0 || this.#pending.length > 0 || waitsForChild) return;
    this.#over = true;
    this.#execution.close();
    this.#ended.resolve({ kind: "stuck", awaiting });
  }

  #begin(call: ProgramCall): void {
    if (call.kind === "task" || call.kind === "workflow") {
      void this.#during(this.#execute(call)).then((outcome) => this.#journal.settle(call.key, outcome));
      return;
    }
    const waitMs = call.kind === "sleep" ? this.#sleepMs(call) : call.timeoutMs;
    if (waitMs === undefined) return;
    const outcome: Outcome = { outcome: call.kind === "sleep" ? "succeeded" : "timedOut" };
    const slept = new Promise<void>((resolve) => {
      this.#deps.clock.after(waitMs, resolve);
    });
    void this.#during(slept).then(() => this.#journal.settle(call.key, outcome));
  }

  #sleepMs(call: Extract<ProgramCall, { kind: "sleep" }>): number {
    return call.forMs ?? Math.max(0, (call.untilMs ?? 0) - this.#deps.clock.nowMs());
  }

  async #during<T>(work: Promise<T>): Promise<T> {
    this.#deps.activity.count += 1;
    try {
      return await work;
    } finally {
      this.#deps.activity.count -= 1;
    }
  }

  async #execute(call: Extract<ProgramCall, { kind: "task" | "workflow" }>): Promise<Outcome> {
    const refs: Record<string, ProgramValue> = {};
    for (const key of this.#refsOf(call)) {
      const { outcome, value, failure } = await this.#journal.settled(key);
      if (outcome === "succeeded" && value !== undefined) refs[key] = value;
      else return failed(dependencyFailed(key, failure));
    }
    if (this.#stop.signal.aborted && call.detached !== true) return { outcome: "cancelled" };
    if (call.kind === "workflow") return this.#executeChild(call, refs);
    const task = { key: call.key, name: call.name, input: call.input, refs, options: call.options ?? {} };
    const never = new AbortController().signal;
    return this.#deps.tasks.execute(task, call.detached === true ? never : this.#stop.signal);
  }

  #refsOf({ refs = [], manyRefs }: Extract<ProgramCall, { kind: "task" | "workflow" }>): readonly CallKey[] {
    return manyRefs ? (JSON.parse(textOf(this.#deps.host.texts, manyRefs)) as CallKey[]) : refs;
  }

  async #executeChild(
    call: Extract<ProgramCall, { kind: "workflow" }>,
    refs: Record<string, ProgramValue>,
  ): Promise<Outcome> {
    const child = new LocalRun(this.#deps, { name: call.name, input: call.input, refs, signals: [] });
    this.#children.set(call.key, child);
    // What moves a child is counted where it moves: waiting for it is no activity.
    this.#deps.activity.count -= 1;
    const outcome = await child.run();
    this.#deps.activity.count += 1;
    this.#children.delete(call.key);
    if (outcome.kind === "succeeded") return succeeded(outcome.output);
    if (outcome.kind === "failed") return failed(outcome.failure);
    this.#over = true;
    this.#execution.close();
    this.#ended.resolve({ kind: "stuck", awaiting: outcome.awaiting });
    return { outcome: "cancelled" };
  }

  #stopCalls(reason: string, stops: (call: ProgramCall) => boolean): void {
    const failure = failureOf(new CancelledError(reason));
    for (const call of this.#journal.open()) {
      if (!stops(call)) continue;
      this.#children.get(call.key)?.cancel(reason);
      this.#journal.settle(call.key, { outcome: "cancelled", failure });
    }
    this.#stop.abort(reason);
  }

  #end(end: WorkEnd): void {
    this.#over = true;
    this.#stopCalls("the workflow returned without it", (call) => !("detached" in call && call.detached === true));
    if (end.t === "done") this.#ended.resolve({ kind: "succeeded", output: end.output });
    else if (end.t === "fail") this.#ended.resolve({ kind: "failed", failure: end.failure });
    else {
      const next = new LocalRun(this.#deps, { name: this.#name, input: end.input, signals: this.#execution.unread() });
      this.#ended.resolve(next.run());
    }
  }
}

const dependencyFailed = (key: string, cause: Failure | undefined): Failure => ({
  type: "DependencyFailed",
  message: `'${key}', whose output was passed on to it, did not succeed.`,
  retryable: false,
  ...(cause === undefined ? {} : { cause }),
});
