import type { CallKey, TaskId } from "#shared/domain/ids.ts";
import type { AttemptName, Lease, LogChunk, Report } from "#shared/protocol/agent.ts";
import type { Call, Value } from "#shared/protocol/common.ts";
import type { ParkedBy } from "../records.ts";
import type { HeldLeases, RenewedLeases } from "../stages.ts";

/** An attempt that has a frame's sender behind it. */
export interface Attempt extends AttemptName {
  readonly agent: string;
}

/** The next hops of what agents say; `main.ts` joins them to the stages. */
export interface Hops {
  /** Accepts (`accepted`), marks as begun (`running`) or takes over (`holder`) leases. */
  holdLeases(
    leases: readonly AttemptName[],
    hold: { readonly state?: "accepted" | "running"; readonly holder?: string },
  ): Promise<HeldLeases>;
  /** A renewal waits a little, to be committed with those of others, unless it `isUrgent`. */
  renewLeases(leases: readonly AttemptName[], how: { readonly isUrgent: boolean }): Promise<RenewedLeases>;
  giveBack(lease: AttemptName, why: "handback" | "omitted"): Promise<void>;
  settleReport(report: Report, agent: string): Promise<"settled" | "retried" | "repeated" | "stale" | "contradicted">;
  publishCalls(attempt: Attempt, calls: readonly Call[]): Promise<"published" | "stale">;
  parkRun(
    attempt: AttemptName & { readonly given: number; readonly awaiting: readonly CallKey[] },
  ): Promise<"parked" | "grown" | "stale">;
  emit(
    attempt: AttemptName,
    event: { readonly key: string; readonly name: string; readonly value: Value },
  ): Promise<void>;
  appendLogs(chunks: readonly LogChunk[]): Promise<void>;
  /** How far an attempt says that it is; its session holds its lease. Kept in memory until its lease is over. */
  sayProgress(attempt: AttemptName, what: { readonly fraction?: number; readonly message?: string }): void;
  forgetProgress(task: TaskId): void;
  /** Outputs of calls of the workflow's run that have succeeded; the others are left out. */
  readOutputs(task: TaskId, keys: readonly CallKey[]): Promise<Record<string, Value>>;
  makeLease(grant: {
    readonly task: TaskId;
    readonly fence: number;
    readonly platform: string;
  }): Promise<
    | { readonly kind: "lease"; readonly lease: Lease; readonly parkedBy: ParkedBy | null }
    | { readonly kind: "ended" }
    | { readonly kind: "early" }
    | { readonly kind: "unavailable"; readonly why: string }
  >;
  /** Which of these attempts were to be ended, and why: the agent may not have heard it. */
  cancelReasons(leases: readonly AttemptName[]): Promise<RenewedLeases["stops"]>;
  /** Leases that an older session of an agent holds. */
  heldBy(agent: string): Promise<readonly AttemptName[]>;
}
