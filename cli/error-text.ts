import { CommanderError } from "commander";
import { BrokenInvariant } from "#shared/domain/assert.ts";
import { SaltError } from "#shared/domain/errors.ts";
import { cleanText } from "./clean-text.ts";
import type { Cli } from "./cli.ts";
import { exitCodeOf, exitCodes } from "./exit-codes.ts";

/** The one place where an error becomes text: writes it to stderr and says the exit code. */
export function tellError(cli: Cli, error: unknown): number {
  // Help that was asked for, or that stands in for a missing subcommand, is written already.
  if (error instanceof CommanderError && /help|version/.test(error.code)) {
    return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  }
  const told = knownError(error);
  cli.stderr.write(cli.json ? `${JSON.stringify(errorObject(told))}\n` : errorText(told));
  if (cli.env.SALT_DEBUG === "1") cli.stderr.write(`${stackOf(error)}\n`);
  return exitCodeOf(told.code);
}

/** Whatever was thrown, as an operating error. */
export const knownError = (error: unknown): SaltError =>
  error instanceof SaltError ? error : error instanceof CommanderError ? usageError(error) : unexpected(error);

export function errorText(error: SaltError): string {
  const message = cleanText(error.message);
  const next = error.next === undefined ? "" : `→ ${cleanText(error.next)}\n`;
  return `${message}\n${next}`;
}

function errorObject(error: SaltError): object {
  const { requestId, ...details } = (error.details ?? {}) as { requestId?: string };
  return {
    error: {
      code: error.code,
      message: error.message,
      ...(error.next === undefined ? {} : { next: error.next }),
      ...(requestId === undefined ? {} : { requestId }),
      ...(Object.keys(details).length === 0 ? {} : { details }),
    },
  };
}

/** commander's `error: unknown option '--jsn'\n(Did you mean --json?)` as one of ours. */
function usageError(error: CommanderError): SaltError {
  const [what = "", hint] = error.message.split("\n");
  const text = what.replace(/^error: (.)/, (_, first: string) => first.toUpperCase()).replace(/\.?$/, ".");
  const meant = hint === undefined ? "" : ` ${hint.replace(/^\(|\)$/g, "")}`;
  return new SaltError("BadRequest", text + meant, { next: "see the command's --help" });
}

const notAllowed = new Set(["EACCES", "EPERM", "EROFS"]);
const noSpace = new Set(["ENOSPC", "EDQUOT"]);
const notFit = new Set(["ENOTDIR", "EISDIR", "ENAMETOOLONG", "ELOOP"]);

/** What the operating system refused: no fault of Salt, and the path says where. */
function refusedBySystem(error: unknown): SaltError | null {
  const { code = "", path, message } = error as NodeJS.ErrnoException;
  const options = { cause: error };
  if (path === undefined) return null;
  if (notAllowed.has(code)) {
    const next = "name another folder, or let this user read and write there";
    return new SaltError("NotAllowed", `Cannot use '${path}': ${message}.`, { ...options, next });
  }
  if (notFit.has(code)) return new SaltError("BadRequest", `Cannot use '${path}': ${message}.`, options);
  if (!noSpace.has(code)) return null;
  return new SaltError("NoSpace", `Cannot write '${path}': the disk is full.`, { ...options, next: "free some space" });
}

function unexpected(error: unknown): SaltError {
  const refused = error instanceof Error ? refusedBySystem(error) : null;
  if (refused !== null) return refused;
  const message = error instanceof Error ? error.message : String(error);
  const text = error instanceof BrokenInvariant ? message : `Something unexpected went wrong: ${message}`;
  return new SaltError("Internal", text, { next: "set SALT_DEBUG=1 and try again to see where", cause: error });
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `\nCaused by ${stackOf(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}
