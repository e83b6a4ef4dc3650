import type { CallKey, Sha256 } from "#shared/domain/ids.ts";
import type { TaskOptions } from "#shared/protocol/common.ts";
import type { ProgramEntry } from "#shared/protocol/task.ts";

export type SettledEntry = Extract<ProgramEntry, { e: "settled" }>;
export type CalledEntry = Extract<ProgramEntry, { e: "called" }>;

/** What a call says besides its key and digest. The argument's text is kept until the call is journaled. */
export type CallBody =
  | {
      readonly kind: "task" | "workflow";
      readonly name: string;
      readonly text: string;
      readonly refs: readonly CallKey[];
      readonly options?: TaskOptions;
      readonly detached: boolean;
    }
  | { readonly kind: "sleep"; readonly forMs?: number; readonly untilMs?: number }
  | { readonly kind: "signal"; readonly name: string; readonly timeoutMs?: number }
  | {
      readonly kind: "event";
      readonly name: string;
      readonly match?: Readonly<Record<string, string | number | boolean | null>>;
      readonly timeoutMs?: number;
    };

/** What became of a call. An output may be still to come. */
export type CallOutcome = Pick<SettledEntry, "outcome" | "value" | "failure">;

export interface Deferred {
  readonly promise: Promise<unknown>;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/**
 * One call that the code has made. `open` until its settlement is delivered; then `settled`, with the outcome kept for
 * whoever awaits it later; `resolved` once the code has been told.
 */
export interface WorkflowCall {
  readonly key: CallKey;
  readonly kind: CallBody["kind"];
  readonly name: string;
  readonly digest: Sha256;
  readonly shielded: boolean;
  /** Makes of the decoded value what the code gets, such as by a schema. */
  readonly accept: (value: unknown) => unknown;
  state: "open" | "settled" | "resolved";
  outcome: CallOutcome | null;
  /** Somebody awaits it. */
  deferred: Deferred | null;
  /** The argument, until the call is journaled. */
  body: CallBody | null;
  /** `unsent` → `sent` → `journaled`. */
  stage: "unsent" | "sent" | "journaled";
}
