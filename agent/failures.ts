import { type Failure, type FailureType, SaltError } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import type { ProgramExit } from "./ports.ts";

/** Carries a failure out of the steps of an attempt to where it is reported. */
export class AttemptFailed extends Error {
  override name = "AttemptFailed";
  readonly failure: Failure;
  constructor(failure: Failure) {
    super(failure.message);
    this.failure = failure;
  }
}

/** What an error met in an attempt's service comes to. `type` names it where the error does not. */
export function failureFrom(error: unknown, type: FailureType): Failure {
  if (error instanceof AttemptFailed) return error.failure;
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof SaltError && error.code === "NoSpace") return failureOf("NoSpace", message, { retryable: true });
  if (error instanceof SaltError && error.code === "TooLarge") {
    return failureOf("OutputTooLarge", message, { retryable: false });
  }
  return failureOf(type, message, { retryable: true });
}

/** A failure that the agent names. */
export function failureOf(
  type: FailureType,
  message: string,
  options: { retryable: boolean; details?: unknown },
): Failure {
  return { type, message: message.slice(0, limits.messageCharsMax), ...options };
}

export const describeExit = (exit: ProgramExit): string =>
  exit.signal !== null ? `was ended by ${exit.signal}` : `exited with status ${exit.code ?? "unknown"}`;

export function programExited(exit: ProgramExit, stderr: string, answered: string): Failure {
  return failureOf("ProgramExited", `The program ${describeExit(exit)} ${answered}.`, {
    retryable: true,
    details: { code: exit.code, signal: exit.signal, stderr },
  });
}

/** The same failure within the bounds of a report: what does not fit is left out, from the particulars up. */
export function boundFailure(failure: Failure): Failure {
  if (JSON.stringify(failure).length <= failureCharsMax) return failure;
  const { details: _, ...without } = failure;
  if (JSON.stringify(without).length <= failureCharsMax) return without;
  const { cause: __, ...bare } = without;
  return bare;
}

const failureCharsMax = 64 * 1024;
