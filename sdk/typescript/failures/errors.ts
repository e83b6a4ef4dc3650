import type { Failure } from "#shared/domain/errors.ts";

// Errors that the SDK makes when something arrives have no stack: it would only show the SDK.

/**
 * An error as it came out of another program: `name` is the class it had there, `cause` what caused it there. Its stack
 * is the other program's.
 */
export class RemoteError extends Error {
  readonly details: unknown;
  readonly retryable: boolean;
  constructor(failure: Failure) {
    super(failure.message, failure.cause === undefined ? undefined : { cause: new RemoteError(failure.cause) });
    this.name = failure.type;
    this.details = failure.details;
    this.retryable = failure.retryable;
    if (failure.stack === undefined) delete this.stack;
    else this.stack = failure.stack;
  }
}

/** A task or child workflow that was called failed for good. `cause` is the error as its program threw it. */
export class TaskFailed extends Error {
  override name = "TaskFailed";
  /** The key of the call. */
  readonly key: string;
  /** What was called. */
  readonly task: string;
  readonly failure: Failure;
  constructor(call: { key: string; task: string }, failure: Failure) {
    super(`'${call.key}' failed: ${failure.type}: ${failure.message}`, { cause: new RemoteError(failure) });
    this.key = call.key;
    this.task = call.task;
    this.failure = failure;
    delete this.stack;
  }
}

/** The run, or the awaited task, was cancelled. */
export class CancelledError extends Error {
  override name = "CancelledError";
  readonly reason: string;
  readonly retryable = false;
  constructor(reason: string, what = "The run was cancelled") {
    super(`${what}: ${reason}`);
    this.reason = reason;
    delete this.stack;
  }
}

/** A wait for a signal or an event outlasted its `timeoutMs`. */
export class TimedOut extends Error {
  override name = "TimedOut";
  readonly key: string;
  constructor(key: string, message = `'${key}' timed out`) {
    super(message);
    this.key = key;
  }
}

/** Thrown by a task, it fails the task at once: no further attempt is made. */
export class NonRetryableError extends Error {
  override name = "NonRetryableError";
  readonly retryable = false;
}

/** Throws a NonRetryableError: the task fails at once, whatever its retry option says. */
export function fatal(message: string, options?: { cause?: unknown }): never {
  throw new NonRetryableError(message, options);
}

/** A value is not what its schema or its checks ask for. `details` lists the complaints. */
export class ValidationError extends Error {
  override name = "ValidationError";
  readonly details: unknown;
  readonly retryable: boolean;
  constructor(message: string, details: unknown, retryable = true) {
    super(message);
    this.details = details;
    this.retryable = retryable;
    delete this.stack;
  }
}

/** The input of a task or workflow is not what its schema asks for. Never retried. */
export class InvalidInput extends Error {
  override name = "InvalidInput";
  readonly details: unknown;
  readonly retryable = false;
  constructor(message: string, details: unknown) {
    super(message);
    this.details = details;
    delete this.stack;
  }
}

/** The code and the journal contradict each other; `details` holds both sides. The run fails. */
export class NonDeterministicWorkflow extends Error {
  override name = "NonDeterministicWorkflow";
  readonly details: unknown;
  readonly retryable = false;
  constructor(message: string, details: unknown, options?: { cause?: unknown }) {
    super(message, options);
    this.details = details;
  }
}

/** Two calls of one run have the same key. */
export class DuplicateCallKey extends Error {
  override name = "DuplicateCallKey";
  readonly key: string;
  readonly retryable = false;
  constructor(key: string) {
    super(`Cannot call under the key '${key}': this run already has a call with it. Give each call its own key.`);
    this.key = key;
  }
}

/** A run has made as many calls as one journal may hold. */
export class JournalTooLong extends Error {
  override name = "JournalTooLong";
  readonly retryable = false;
}

/** Something was called where it has no meaning, such as `sleep` in a task. */
export class WrongPlace extends Error {
  override name = "WrongPlace";
  readonly retryable = false;
}

/** An output is larger than a value may be. Never retried. */
export class OutputTooLarge extends Error {
  override name = "OutputTooLarge";
  readonly retryable = false;
}

/** The release has no task type or workflow of that name. */
export class UnknownTaskType extends Error {
  override name = "UnknownTaskType";
  readonly retryable = false;
}
