import type { JournalRow } from "#shared/protocol/api.ts";

/** What is known of one call of a run from its journal alone. */
export interface CallProgress {
  readonly key: string;
  readonly kind: string;
  readonly name: string;
  readonly state: "open" | "retrying" | "succeeded" | "failed" | "cancelled" | "timedOut";
  /** Attempts that have failed. */
  readonly failed: number;
  readonly openedAtMs: number;
  readonly endedAtMs: number | null;
}

export interface RunProgress {
  readonly calls: ReadonlyMap<string, CallProgress>;
  readonly openedAtMs: number | null;
  /** The run's state once it has ended, with the time. */
  readonly ended: { readonly state: string; readonly atMs: number } | null;
}

export const noProgress: RunProgress = { calls: new Map(), openedAtMs: null, ended: null };

/** Pure, save that the calls' map is carried on rather than copied: a journal may have 50,000 of them. */
export function foldJournal(before: RunProgress, row: JournalRow): RunProgress {
  switch (row.e) {
    case "opened":
      return { ...before, openedAtMs: row.atMs };
    case "called":
      return withCall(before, {
        key: row.key ?? "",
        kind: row.kind ?? "task",
        name: row.name ?? "",
        state: "open",
        failed: 0,
        openedAtMs: row.atMs,
        endedAtMs: null,
      });
    case "retried": {
      const call = before.calls.get(row.key ?? "");
      return call ? withCall(before, { ...call, state: "retrying", failed: call.failed + 1 }) : before;
    }
    case "settled": {
      const call = before.calls.get(row.key ?? "");
      const state = (row.outcome ?? "succeeded") as CallProgress["state"];
      return call ? withCall(before, { ...call, state, endedAtMs: row.atMs }) : before;
    }
    case "ended":
      return { ...before, ended: { state: row.state ?? "succeeded", atMs: row.atMs } };
    default:
      return before;
  }
}

function withCall(before: RunProgress, call: CallProgress): RunProgress {
  (before.calls as Map<string, CallProgress>).set(call.key, call);
  return { ...before };
}

export const startProgress = (): RunProgress => ({ ...noProgress, calls: new Map() });
