import type { Failure } from "#shared/domain/errors.ts";
import { failureOf } from "../failures.ts";
import type { Attempt } from "../leases/attempt.ts";
import type { Program } from "./program.ts";

const helloMs = 30_000;
const idleMs = 60_000;

export const leaseLost: Failure = failureOf(
  "AgentLost",
  "The agent could not renew its lease in time, and ended the attempt, which must not overlap with the next.",
  { retryable: true },
);

/** Ends what has outlived its time: a start without hello, an attempt, the grace of a stop. */
export function checkDeadlines(program: Program, nowMs: number): void {
  if (!program.saidHello && program.verdict === null && nowMs - program.startedAtMs > helloMs) {
    const message = `The program did not say hello within ${helloMs} ms of its start.`;
    program.kill({ culprit: null, failure: failureOf("ProgramSilent", message, { retryable: true }) });
  }
  for (const attempt of program.works.values()) {
    if (attempt.phase !== "running") continue;
    checkStop(program, attempt, nowMs);
    if (nowMs >= attempt.heldUntilMs) program.kill({ culprit: attempt, failure: leaseLost });
    const { attemptTimeoutMs } = attempt.lease;
    if (nowMs - attempt.startedAtMs < attemptTimeoutMs) continue;
    const message = `The attempt did not end within ${attemptTimeoutMs} ms.`;
    program.kill({ culprit: attempt, failure: failureOf("TimedOut", message, { retryable: true }) });
  }
}

/** The program was told at once; it gets SIGTERM at half its grace, and its group SIGKILL at the end (A50). */
function checkStop(program: Program, attempt: Attempt, nowMs: number): void {
  const { stop } = attempt;
  if (stop === null) return;
  if (nowMs >= stop.atMs + stop.graceMs) {
    program.kill({ culprit: attempt, failure: null });
  } else if (!stop.terminated && nowMs >= stop.atMs + stop.graceMs / 2) {
    stop.terminated = true;
    // A signal would reach the other workflows of a shared process too.
    if (program.kind === "task") program.parts?.signal("SIGTERM");
  }
}

/** Ends processes that have been idle for long, or that are more than the slots could soon use. */
export function endIdle(programs: readonly Program[], nowMs: number, idleMax: number): void {
  const idle = programs.filter((program) => program.isIdle).sort((a, b) => b.idleSinceMs - a.idleSinceMs);
  for (const [index, program] of idle.entries()) {
    if (index >= idleMax || nowMs - program.idleSinceMs > idleMs) program.recycle();
  }
}
