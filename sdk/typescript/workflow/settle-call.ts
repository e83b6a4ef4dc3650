import type { ProgramValue } from "#shared/protocol/task.ts";
import { decodeValue } from "#shared/values/decode-value.ts";
import { CancelledError, TaskFailed, TimedOut } from "../failures/errors.ts";
import { type Texts, textOf } from "../program/texts.ts";
import type { WorkflowCall } from "./workflow-call.ts";

/** Whether what the code is to be told is here: a failure always is, an output may be still to come. */
export function isComplete(call: WorkflowCall, values: ReadonlyMap<string, ProgramValue>): boolean {
  const { outcome } = call;
  if (outcome === null) return false;
  return (
    outcome.outcome !== "succeeded" || call.kind === "sleep" || outcome.value !== undefined || values.has(call.key)
  );
}

/** Tells the code, whose promise settles in this turn. */
export function tellCall(call: WorkflowCall, value: ProgramValue | undefined, texts: Texts): void {
  const { deferred, outcome } = call;
  call.state = "resolved";
  call.outcome = null;
  if (deferred === null || outcome === null) return;
  switch (outcome.outcome) {
    case "succeeded":
      try {
        deferred.resolve(call.accept(value === undefined ? undefined : decodeValue(textOf(texts, value))));
      } catch (error) {
        deferred.reject(error);
      }
      return;
    case "failed": {
      const unknown = { type: "Unknown", message: "the failure was not given", retryable: false };
      deferred.reject(new TaskFailed({ key: call.key, task: call.name }, outcome.failure ?? unknown));
      return;
    }
    case "cancelled":
      deferred.reject(
        new CancelledError(outcome.failure?.message ?? "the run was cancelled", `'${call.key}' was cancelled`),
      );
      return;
    case "timedOut":
      deferred.reject(new TimedOut(call.key, outcome.failure?.message));
  }
}

/** Settles a call as cancelled, before the journal says so. */
export function cancelCall(call: WorkflowCall, reason: string): void {
  call.state = "settled";
  call.outcome = { outcome: "cancelled", failure: { type: "CancelledError", message: reason, retryable: false } };
}
