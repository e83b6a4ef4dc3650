import type { JournalRow, ProgressEvent, ProgressView } from "#shared/protocol/api.ts";

/** What is known of one call of a run from its journal, and from what it says itself. */
export interface CallProgress {
  readonly key: string;
  readonly kind: string;
  readonly name: string;
  readonly state: "open" | "retrying" | "succeeded" | "failed" | "cancelled" | "timedOut";
  /** Attempts that have failed. */
  readonly failed: number;
  readonly openedAtMs: number;
  readonly endedAtMs: number | null;
  /** How far its attempt under way says that it is. */
  readonly said: ProgressView | null;
  /** What it waits for, as the coordinator said last; null when it may be running. */
  readonly waits: string | null;
}

/**
 * What a run's journal says so far, and what its running calls say of themselves.
 *
 * A signal's arrival is not a settlement of the wait for it: the n-th wait of a name that is still open takes the n-th
 * arrival, and one that came early is kept for the next wait.
 */
export class RunProgress {
  readonly #calls = new Map<string, CallProgress>();
  readonly #kept = new Map<string, number>();
  #openedAtMs: number | null = null;
  #ended: { readonly state: string; readonly atMs: number } | null = null;

  /** In the order of the calls. */
  get calls(): readonly CallProgress[] {
    return [...this.#calls.values()];
  }

  get openedAtMs(): number | null {
    return this.#openedAtMs;
  }

  get ended(): { readonly state: string; readonly atMs: number } | null {
    return this.#ended;
  }

  take(row: JournalRow): void {
    const call = this.#calls.get(row.key ?? "");
    if (row.e === "opened") this.#openedAtMs = row.atMs;
    else if (row.e === "ended") this.#ended = { state: row.state ?? "succeeded", atMs: row.atMs };
    else if (row.e === "called") this.#open(row);
    else if (row.e === "signal") this.#arrive(row.name ?? "", row.atMs);
    else if (row.e === "retried" && call)
      this.#set({ ...call, state: "retrying", failed: call.failed + 1, said: null, waits: null });
    else if (row.e === "settled" && call?.endedAtMs === null) {
      const state = (row.outcome ?? "succeeded") as CallProgress["state"];
      this.#set({ ...call, state, endedAtMs: row.atMs, said: null, waits: null });
    }
  }

  /** What a call says shows too that it is being executed. */
  say({ key, ...said }: ProgressEvent): void {
    const call = this.#calls.get(key);
    if (call?.endedAtMs === null) this.#set({ ...call, state: "open", said, waits: null });
  }

  wait(key: string, waits: string | null): void {
    const call = this.#calls.get(key);
    if (call?.endedAtMs === null) this.#set({ ...call, waits });
  }

  #open(row: JournalRow): void {
    const call: CallProgress = {
      key: row.key ?? "",
      kind: row.kind ?? "task",
      name: row.name ?? "",
      state: "open",
      failed: 0,
      openedAtMs: row.atMs,
      endedAtMs: null,
      said: null,
      waits: null,
    };
    const kept = call.kind === "signal" ? (this.#kept.get(call.name) ?? 0) : 0;
    if (kept > 0) this.#kept.set(call.name, kept - 1);
    this.#set(kept > 0 ? { ...call, state: "succeeded", endedAtMs: row.atMs } : call);
  }

  #arrive(name: string, atMs: number): void {
    for (const call of this.#calls.values()) {
      if (call.kind !== "signal" || call.name !== name || call.endedAtMs !== null) continue;
      this.#set({ ...call, state: "succeeded", endedAtMs: atMs });
      return;
    }
    this.#kept.set(name, (this.#kept.get(name) ?? 0) + 1);
  }

  #set(call: CallProgress): void {
    this.#calls.set(call.key, call);
  }
}
