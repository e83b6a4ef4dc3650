import { type CallKey, sha256 } from "#shared/domain/ids.ts";
import type { Lease, Result } from "#shared/protocol/agent.ts";
import type { Entry } from "#shared/protocol/common.ts";
import { SeededRandom } from "./seeded-random.ts";

type PlannedCall = { readonly key: CallKey; readonly detached: boolean; readonly frame: object };

interface Plan {
  readonly rounds: readonly (readonly PlannedCall[])[];
  readonly end: "done" | "fail" | "restart";
  readonly failsWithCalls: boolean;
  readonly cleansUp: boolean;
}

const deepestCall = 2;

/** What a workflow does, out of its run's seed alone, so that each attempt does the same. */
function planOf(lease: Lease): Plan {
  const random = new SeededRandom(Number.parseInt(sha256(lease.seed ?? "").slice(0, 8), 16));
  const depth = "json" in lease.input ? Number(JSON.parse(lease.input.json).depth ?? 0) : 0;
  const counts = new Map<string, number>();
  const tasks: string[] = [];
  const call = (): PlannedCall => {
    const kind = random.between(1, 100);
    const base =
      kind <= 60
        ? random.chance(0.5)
          ? "work"
          : "other"
        : kind <= 70
          ? "sleep"
          : kind <= 82
            ? "signal:go"
            : "event:paid";
    const name = kind > 94 && depth < deepestCall ? "child" : base;
    const n = (counts.get(name) ?? 0) + 1;
    counts.set(name, n);
    const key = `${name}#${n}` as CallKey;
    const head = { key, digest: sha256(key) };
    const timeoutMs = random.between(1, 8_000);
    if (name === "sleep") return { key, detached: false, frame: { ...head, kind: "sleep", forMs: timeoutMs } };
    if (name === "signal:go")
      return { key, detached: false, frame: { ...head, kind: "signal", name: "go", timeoutMs } };
    if (name === "event:paid")
      return { key, detached: false, frame: { ...head, kind: "event", name: "paid", timeoutMs } };
    const detached = random.chance(0.1);
    const refs = tasks.filter(() => random.chance(0.2));
    const input = { json: JSON.stringify({ depth: depth + 1 }) };
    tasks.push(key);
    const given = { ...refsOf(refs, sha256(`${lease.seed} ${key}`)), input, detached, awaited: true };
    const frame = { ...head, kind: name === "child" ? "workflow" : "task", name, ...given };
    return { key, detached, frame };
  };
  const rounds = Array.from({ length: random.between(1, 3) }, () => Array.from({ length: random.between(1, 6) }, call));
  const end = random.chance(0.15) ? "fail" : depth < deepestCall && random.chance(0.2) ? "restart" : "done";
  return { rounds, end, failsWithCalls: random.chance(0.3), cleansUp: random.chance(0.5) };
}

/** Some of those that refer to others do so as if to many, for which it takes several steps to write the edges. */
function refsOf(refs: readonly string[], draw: string): object {
  if (refs.length === 0 || draw > "8") return { refs };
  const list = Array.from({ length: Math.ceil(150 / refs.length) }, () => refs).flat();
  return { manyRefs: { json: JSON.stringify(list) } };
}

export type Step =
  | { readonly kind: "call"; readonly calls: readonly object[] }
  | { readonly kind: "wait"; readonly awaiting: readonly CallKey[] }
  | { readonly kind: "end"; readonly result: Result };

/** One attempt of a random workflow: what it does next follows from its plan and from the journal that it was given. */
export class RandomProgram {
  readonly #lease: Lease;
  readonly #plan: Plan;
  readonly #settled = new Map<CallKey, string>();
  readonly #waits: CallKey[] = [];
  readonly #made = new Set<string>();
  #unread = 0;
  #cancelled = false;
  given = 0;
  readonly entries: Entry[] = [];

  constructor(lease: Lease) {
    this.#lease = lease;
    this.#plan = planOf(lease);
  }

  take(entry: Entry): void {
    this.given = entry.p;
    this.entries.push(entry);
    if (entry.e === "settled") {
      this.#settled.set(entry.key, entry.outcome);
      const wait = this.#waits.indexOf(entry.key);
      if (wait >= 0) this.#waits.splice(wait, 1);
    } else if (entry.e === "cancel") this.#cancelled = true;
    else if (entry.e === "called" && entry.kind === "signal") {
      if (this.#unread === 0) this.#waits.push(entry.key);
      else {
        this.#unread -= 1;
        this.#settled.set(entry.key, "succeeded");
      }
    } else if (entry.e === "signal") {
      const wait = this.#waits.shift();
      if (wait) this.#settled.set(wait, "succeeded");
      else this.#unread += 1;
    }
  }

  /** Asked again and again; calls are made once an attempt. */
  next(): Step {
    if (this.given < (this.#lease.journalEnd ?? 0)) return { kind: "wait", awaiting: [] };
    if (this.#cancelled) return this.#cleanUp();
    for (const [index, round] of this.#plan.rounds.entries()) {
      if (!this.#made.has(`round ${index}`)) {
        this.#made.add(`round ${index}`);
        return { kind: "call", calls: round.map(({ frame }) => frame) };
      }
      const awaited = round.filter(({ detached }) => !detached).map(({ key }) => key);
      const awaiting = awaited.filter((key) => !this.#settled.has(key));
      if (awaiting.length > 0) return { kind: "wait", awaiting };
      if (this.#plan.failsWithCalls && awaited.some((key) => this.#settled.get(key) === "failed"))
        return fail("TaskFailed");
    }
    if (this.#plan.end === "fail") return fail("Boom");
    const value = { json: JSON.stringify({ depth: deepestCall - 1 }) };
    const result =
      this.#plan.end === "done" ? { kind: "done" as const, output: value } : { kind: "restart" as const, input: value };
    return { kind: "end", result };
  }

  #cleanUp(): Step {
    const key = "clean-up" as CallKey;
    if (!this.#plan.cleansUp || this.#settled.has(key)) return fail("CancelledError");
    if (this.#made.has(key)) return { kind: "wait", awaiting: [key] };
    this.#made.add(key);
    const frame = { kind: "task", key, name: "work", digest: sha256(key), input: { json: "1" }, shielded: true };
    return { kind: "call", calls: [frame] };
  }
}

const fail = (type: string): Step => ({
  kind: "end",
  result: { kind: "fail", failure: { type, message: type, retryable: false }, answered: true },
});
