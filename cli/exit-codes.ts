import type { ErrorCode } from "#shared/domain/errors.ts";

export const exitCodes = {
  ok: 0,
  failure: 1,
  usage: 2,
  notFound: 3,
  notAllowed: 4,
  unreachable: 5,
  runFailed: 6,
  timedOut: 7,
  interrupted: 130,
} as const;

/** Of an operating error. What is not named here is a failure. */
const byError: Partial<Record<ErrorCode, number>> = {
  BadRequest: exitCodes.usage,
  InvalidInput: exitCodes.usage,
  UnknownWorkflow: exitCodes.notFound,
  NotFound: exitCodes.notFound,
  NotAuthenticated: exitCodes.notAllowed,
  NotAllowed: exitCodes.notAllowed,
  BadSignature: exitCodes.notAllowed,
  Unreachable: exitCodes.unreachable,
  TimedOut: exitCodes.timedOut,
};

export const exitCodeOf = (code: ErrorCode): number => byError[code] ?? exitCodes.failure;

export const exitCodesText = `Exit codes of salt

    0  success
    1  failure: whatever has no code of its own
    2  usage: an unknown command or flag, a bad argument or input
    3  not found: no such run, workflow, agent, …
    4  not allowed: no token, a wrong one, or one whose role is too low
    5  the coordinator cannot be reached
    6  the run failed or was cancelled
    7  timed out: the run, or the time given with --timeout
  130  interrupted with Ctrl-C
`;
