import { fileURLToPath } from "node:url";
import { type Failure, SaltError } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import { RemoteError } from "./errors.ts";

const causesMax = 5;
const detailsCharsMax = 16 * 1024;

const cut = (text: string, charsMax: number): string => {
  const whole = text.toWellFormed();
  return whole.length <= charsMax ? whole : `${whole.slice(0, charsMax - 1).toWellFormed()}…`;
};

/**
 * What the report and the journal say of a thrown value: the error's class, message, stack and causes, each cut to its
 * limit. Retryable unless the error says `retryable: false`.
 */
export function failureOf(thrown: unknown, options: { retryable?: boolean; causes?: number } = {}): Failure {
  const causes = options.causes ?? causesMax;
  if (!(thrown instanceof Error)) {
    return {
      type: "Error",
      message: cut(describeThrown(thrown), limits.messageCharsMax),
      retryable: options.retryable ?? true,
    };
  }
  const { cause, details, retryable } = thrown as Error & { details?: unknown; retryable?: unknown };
  const plainDetails = details === undefined ? undefined : asJson(details);
  return {
    type: cut(typeOf(thrown), 200),
    message: cut(messageOf(thrown), limits.messageCharsMax),
    retryable: options.retryable ?? retryable !== false,
    ...(typeof thrown.stack === "string" ? { stack: cut(ownStack(thrown.stack), limits.stackCharsMax) } : {}),
    ...(cause === undefined || causes === 0 ? {} : { cause: failureOf(cause, { causes: causes - 1 }) }),
    ...(plainDetails === undefined ? {} : { details: plainDetails }),
  };
}

/**
 * The stack as the project's author knows it: without the frames of Node, with paths from the project's folder, and in a
 * built program without the frames of what was bundled with the project, unless there are no others. In a built program
 * this module is part of the one file that source maps tell the project's files beside.
 */
export function ownStack(stack: string, program: string = import.meta.url): string {
  const lines = stack.split("\n").filter((line) => !/^\s+at .*\(?node:/.test(line));
  const isFrame = (line: string) => /^\s+at /.test(line);
  const isBundled = (line: string) => isFrame(line) && line.includes(`${program}:`);
  const own = lines.filter((line) => !isBundled(line));
  const folder = fileURLToPath(new URL(".", program));
  return (own.some(isFrame) ? own : lines)
    .map((line) => (isFrame(line) ? line.replace(`${program}:`, "main:").replace(folder, "") : line))
    .join("\n");
}

/** `name` where a class sets one, else the name of the class; of Salt's own errors the code. */
function typeOf(error: Error): string {
  if (error instanceof SaltError && error.name === "SaltError") return error.code;
  if (error instanceof RemoteError) return error.name;
  const name = typeof error.name === "string" && error.name !== "" ? error.name : "Error";
  return name === "Error" ? error.constructor?.name || "Error" : name;
}

const messageOf = (error: Error): string =>
  error instanceof SaltError && error.next !== undefined ? `${error.message} ${error.next}` : String(error.message);

function describeThrown(thrown: unknown): string {
  if (typeof thrown === "string") return thrown;
  return `A value that is no Error was thrown: ${JSON.stringify(asJson(thrown)) ?? typeof thrown}`;
}

/** The value as JSON would keep it, or undefined when it cannot or is long. */
function asJson(value: unknown): unknown {
  try {
    const text = JSON.stringify(value);
    return text === undefined || text.length > detailsCharsMax ? undefined : JSON.parse(text.toWellFormed());
  } catch {
    return undefined;
  }
}
