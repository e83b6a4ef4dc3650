/**
 * Every code that an operating error can carry, with its HTTP status. One closed list: HTTP, frames, CLI text and docs
 * are made from it.
 */
export const errorCodes = {
  BadRequest: 400,
  InvalidInput: 400,
  UnknownWorkflow: 404,
  UnknownTaskType: 400,
  InvalidManifest: 400,
  InvalidProject: 400,
  BadSignature: 401,
  NotAuthenticated: 401,
  NotAllowed: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  Conflict: 409,
  IdempotencyKeyReused: 409,
  RunEnded: 409,
  TooLarge: 413,
  DigestMismatch: 422,
  TooMany: 429,
  Internal: 500,
  Unavailable: 503,
  NoSpace: 507,
  UnsafeBind: 400,
  BuildFailed: 400,
  TimedOut: 504,
  Unreachable: 503,
} as const;

export type ErrorCode = keyof typeof errorCodes;

export interface SaltErrorOptions {
  /** What the reader can do next, as a sentence or a command. */
  readonly next?: string;
  /** Whether the same request may succeed later, unchanged. Default: true for `Unavailable`, `TooMany`, `Unreachable`. */
  readonly retryable?: boolean;
  readonly cause?: unknown;
  /** Structured particulars, such as the path of the invalid value. */
  readonly details?: unknown;
}

const retryableCodes: ReadonlySet<ErrorCode> = new Set(["Unavailable", "TooMany", "Unreachable"]);

/** An operating error. The message says what was attempted and what is the case; `next` says what to do. */
export class SaltError extends Error {
  override name = "SaltError";
  readonly code: ErrorCode;
  readonly next: string | undefined;
  readonly retryable: boolean;
  readonly details: unknown;

  constructor(code: ErrorCode, message: string, options: SaltErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.next = options.next;
    this.retryable = options.retryable ?? retryableCodes.has(code);
    this.details = options.details;
  }
}

/**
 * Why a task, and so perhaps its run, failed: data in reports, task records and journals. `type` is the error's class
 * in the user's program, or one of the names below.
 */
export interface Failure {
  readonly type: string;
  readonly message: string;
  /** Whether another attempt may succeed. */
  readonly retryable: boolean;
  readonly stack?: string;
  readonly cause?: Failure;
  /** Structured particulars: validation issues, both sides of a non-determinism, an exit status. */
  readonly details?: unknown;
}

/** Failures that Salt itself names. */
export const failureTypes = [
  "ValidationError",
  "InvalidInput",
  "UnencodableValue",
  "NonDeterministicWorkflow",
  "DuplicateCallKey",
  "UnknownTaskType",
  "JournalTooLong",
  "WorkflowCrashLoop",
  "DependencyFailed",
  "TaskFailed",
  "CancelledError",
  "TimedOut",
  "QueueTimedOut",
  "ProgramExited",
  "ProgramSilent",
  "ProtocolViolation",
  "LogLimitExceeded",
  "OutputTooLarge",
  "AgentLost",
  "BinaryUnavailable",
  "ValueUnavailable",
  "NoSpace",
] as const;

export type FailureType = (typeof failureTypes)[number];
