import type { CallKey } from "#shared/domain/ids.ts";
import type { ProgramCall, ProgramEntry, ProgramFrame, ProgramValue, Work } from "#shared/protocol/task.ts";
import { declared, type WorkflowDefinition } from "../declare/registry.ts";
import type { WorkEnd } from "../workflow/work-end.ts";
import { WorkflowExecution } from "../workflow/workflow-execution.ts";
import type { seededNumbers } from "./random-program.ts";
import { textsInMemory } from "./texts-in-memory.ts";
import type { VirtualClock } from "./virtual-clock.ts";

type Numbers = ReturnType<typeof seededNumbers>;
type Settled = Extract<ProgramEntry, { e: "settled" }>;
type WithoutPlace<E> = E extends unknown ? Omit<E, "p" | "at"> : never;

/** The journal of one run, kept while its programs come and go. */
export class FakeJournal {
  readonly entries: ProgramEntry[] = [];
  /** Calls by key, in journal order, with whether they have settled. */
  readonly calls = new Map<CallKey, { call: ProgramCall; settled: boolean }>();

  constructor() {
    this.append({ e: "note", kind: "opened" });
  }

  append(entry: WithoutPlace<ProgramEntry>): void {
    const p = this.entries.length + 1;
    this.entries.push({ ...entry, p, at: 10_000 + p } as ProgramEntry);
  }

  call(call: ProgramCall): void {
    const known = this.calls.get(call.key)?.call;
    if (known !== undefined) {
      if (known.digest !== call.digest || known.kind !== call.kind)
        throw new Error(`'${call.key}' became another call`);
      return;
    }
    this.calls.set(call.key, { call, settled: false });
    const name = "name" in call ? call.name : "sleep";
    this.append({ e: "called", key: call.key, kind: call.kind, name, digest: call.digest });
  }

  open(): ProgramCall[] {
    return [...this.calls.values()].filter(({ settled }) => !settled).map(({ call }) => call);
  }

  settle(key: CallKey, outcome: Pick<Settled, "outcome" | "value" | "failure">): void {
    const call = this.calls.get(key);
    if (call === undefined || call.settled) return;
    call.settled = true;
    this.append({ e: "settled", key, ...outcome });
  }
}

/** One program at work on a journal: an execution, and what an agent would keep about it. */
export class FakeWork {
  readonly sent: ProgramCall[] = [];
  readonly awaited = new Set<CallKey>();
  /** Keys of settled calls whose outputs were asked for and not yet given. */
  asked: CallKey[] = [];
  end: WorkEnd | null = null;
  given = 0;
  parks = 0;
  readonly warnings: string[] = [];
  readonly #journal: FakeJournal;
  readonly #execution: WorkflowExecution;
  readonly #replayEnd: number;

  constructor(deps: { clock: VirtualClock; journal: FakeJournal; replayEnd: number; input: unknown; name?: string }) {
    this.#journal = deps.journal;
    this.#replayEnd = deps.replayEnd;
    const name = deps.name ?? "generated";
    const work: Work = {
      t: "work",
      argsId: "w",
      kind: "workflow",
      name,
      task: "run",
      attempt: 1,
      input: { json: JSON.stringify(deps.input) },
      folder: "/w",
      seed: "seed",
      openedAtMs: 10_000,
      journalEnd: deps.replayEnd,
      parkAfterMs: 1_000,
    };
    this.#execution = new WorkflowExecution(
      {
        clock: deps.clock,
        texts: textsInMemory(),
        send: (frame) => this.#receive(frame),
        end: (end) => {
          this.end = end;
        },
        warn: (message) => void this.warnings.push(message),
      },
      work,
    );
    this.#execution.start(declared.workflows.get(name) as WorkflowDefinition);
  }

  /** Hands on the next `count` entries. Beyond the replay, outputs go along only when they were asked for before. */
  give(count: number): void {
    const entries = this.#journal.entries.slice(this.given, this.given + count).map((entry) => this.#asGiven(entry));
    this.given += entries.length;
    if (entries.length > 0) this.#execution.receive({ t: "settled", argsId: "w", entries });
  }

  giveValues(): void {
    const values: Record<string, ProgramValue> = {};
    for (const key of this.asked) {
      const value = this.#valueOf(key);
      if (value !== undefined) values[key] = value;
    }
    this.asked = [];
    this.#execution.receive({ t: "values", argsId: "w", values });
  }

  accept(): void {
    this.#execution.receive({ t: "accepted", argsId: "w", calls: this.sent.length });
  }

  get acceptedCalls(): number {
    return this.#execution.acceptedCalls;
  }

  cut(): void {
    this.#execution.close();
  }

  #asGiven(entry: ProgramEntry): ProgramEntry {
    if (entry.e !== "settled" || entry.p <= this.#replayEnd || this.awaited.has(entry.key)) return entry;
    const { value: _left, ...rest } = entry;
    return this.#journal.calls.get(entry.key)?.call.kind === "event" ? entry : rest;
  }

  /** Undefined for what failed: its settlement said so. */
  #valueOf(key: CallKey): ProgramValue | undefined {
    return this.#journal.entries.find((one): one is Settled => one.e === "settled" && one.key === key)?.value;
  }

  #receive(frame: ProgramFrame): void {
    if (frame.t === "park") this.parks += 1;
    if (frame.t === "calls") {
      this.sent.push(...frame.calls);
      for (const call of frame.calls) if ("awaited" in call && call.awaited) this.awaited.add(call.key);
    }
    if (frame.t !== "await") return;
    for (const key of frame.keys) {
      const given = this.#journal.entries
        .slice(0, this.given)
        .some((entry) => entry.e === "settled" && entry.key === key);
      if (given) this.asked.push(key);
      else this.awaited.add(key);
    }
  }
}

/** Something happens to one of the open calls, or from outside. */
export function happen(journal: FakeJournal, numbers: Numbers, options: { cancel: boolean }): void {
  if (options.cancel && numbers.chance(0.03) && !journal.entries.some(({ e }) => e === "cancel")) {
    journal.append({ e: "cancel", reason: "enough" });
    return;
  }
  if (numbers.chance(0.15)) {
    const id = `s${journal.entries.length}`;
    journal.append({ e: "signal", id, name: numbers.chance(0.5) ? "a" : "b", value: { json: JSON.stringify(id) } });
    return;
  }
  const open = journal.open();
  const call = open[numbers.below(open.length)];
  if (call === undefined) return;
  if (call.kind === "sleep") journal.settle(call.key, { outcome: "succeeded" });
  else if (call.kind === "signal") {
    if (call.timeoutMs !== undefined) journal.settle(call.key, { outcome: "timedOut" });
    else journal.append({ e: "signal", id: `w${journal.entries.length}`, name: call.name, value: { json: '"sent"' } });
  } else if (call.kind === "task" && call.name === "flaky" && numbers.chance(0.5)) {
    journal.settle(call.key, { outcome: "failed", failure: { type: "Flaky", message: "broke", retryable: true } });
  } else journal.settle(call.key, { outcome: "succeeded", value: { json: JSON.stringify(`${call.key}!`) } });
}
