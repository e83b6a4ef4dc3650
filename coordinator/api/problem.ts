import { BrokenInvariant } from "#shared/domain/assert.ts";
import { errorCodes, SaltError } from "#shared/domain/errors.ts";
import type { Problem } from "#shared/protocol/api.ts";

/**
 * The one place where errors become HTTP: problem documents of RFC 9457. What is not a SaltError is ours to look into,
 * not the caller's to read, so only its request id is told.
 */
export function toProblem(error: unknown, requestId: string): Problem {
  const known =
    error instanceof SaltError
      ? error
      : new SaltError("Internal", "The coordinator could not do what was asked.", {
          next: `Look for the request id ${requestId} in the coordinator's log.`,
        });
  return {
    type: `/errors/${known.code}`,
    title: known.code.replace(/(?<=[a-z])(?=[A-Z])/g, " "),
    status: errorCodes[known.code],
    detail: known.message,
    code: known.code,
    ...(known.next === undefined ? {} : { next: known.next }),
    ...(known.details === undefined ? {} : { details: known.details }),
    requestId,
  };
}

/** Seconds after which what was refused for now may be tried again. */
const retryAfterS = 1;

export function problemHeaders(problem: Problem): Record<string, string> {
  return {
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-request-id": problem.requestId,
    ...(problem.status === 401 ? { "www-authenticate": 'Bearer realm="salt"' } : {}),
    ...(problem.status === 429 || problem.status === 503 ? { "retry-after": String(retryAfterS) } : {}),
  };
}

export function problemResponse(error: unknown, requestId: string, headers: Record<string, string> = {}): Response {
  const problem = toProblem(error, requestId);
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: { ...problemHeaders(problem), ...headers },
  });
}

export const isOurs = (error: unknown): boolean =>
  !(error instanceof SaltError) || error.code === "Internal" || error instanceof BrokenInvariant;
