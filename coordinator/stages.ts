import type { RunId } from "#shared/domain/ids.ts";
import type { AttemptName } from "#shared/protocol/agent.ts";
import type { Value } from "#shared/protocol/common.ts";

/**
 * What the edges of the coordinator (api, triggers) are handed of the stages behind them. `main.ts` alone knows who
 * provides it.
 */
export interface OpenRun {
  readonly project: string;
  readonly workflow: string;
  readonly input: Value;
  readonly trigger: {
    readonly kind: "manual" | "cron" | "webhook" | "event" | "retry";
    readonly name: string | null;
    readonly by: string;
  };
  /**
   * Requests with the same source and key are one request: `digest` (of what was asked) tells a repetition from a reuse.
   */
  readonly identity?: { readonly source: string; readonly key: string; readonly digest: string };
  readonly priority?: number;
}

/** `UnknownWorkflow` and `InvalidInput` (with the schema's complaints in `details`) are thrown. */
export type OpenRunOutcome =
  | { readonly kind: "opened" | "repeated"; readonly run: RunId }
  | { readonly kind: "reused"; readonly run: RunId };

export interface HeldLeases {
  readonly held: readonly AttemptName[];
  /** Leases that moved on: their attempts are to end. */
  readonly stale: readonly AttemptName[];
}

export interface RenewedLeases extends HeldLeases {
  /**
   * Of those held, the attempts that are to end, and why: another coordinator may have decided it, and a frame that said
   * so may have been lost with its connection.
   */
  readonly stops: readonly (AttemptName & { readonly reason: string })[];
}

export type EndRunOutcome = { readonly kind: "done" } | { readonly kind: "ended" } | { readonly kind: "unknown" };
export type SignalOutcome = EndRunOutcome | { readonly kind: "full" };

export interface Runs {
  openRun(request: OpenRun): Promise<OpenRunOutcome>;
  cancelRun(request: { run: RunId; reason: string; by: string }): Promise<EndRunOutcome>;
  /** Opens a new run with the journal of a failed or cancelled one up to its failed call. `Conflict` when it has not ended so. */
  retryRun(request: { run: RunId; by: string }): Promise<RunId | null>;
  /** `id` is the sender's: the same again is the same signal. */
  signalRun(request: { run: RunId; name: string; id: string; value: Value; by: string }): Promise<SignalOutcome>;
  sendEvent(request: {
    project: string;
    name: string;
    id: string;
    value: Value;
    by: string;
  }): Promise<{ position: number }>;
  /** Whether something about the run's journal may have changed: a hint that ends waits early. */
  journalGrew(run: RunId, signal: AbortSignal): Promise<void>;
}
