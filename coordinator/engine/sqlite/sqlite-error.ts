import { SaltError } from "#shared/domain/errors.ts";

/** Primary result codes of SQLite (https://www.sqlite.org/rescode.html). */
const full = 13;
const busy = 5;
const corrupt = 11;
const notADatabase = 26;

/** What SQLite or the file system reports, as an operating error; other errors stay what they are. */
export function toSaltError(error: unknown, attempted: string): unknown {
  if (!(error instanceof Error) || error instanceof SaltError) return error;
  const { code, errcode } = error as { code?: string; errcode?: number };
  const because = (what: string) => `Cannot ${attempted}: ${what}.`;
  if (code === "ENOSPC") return noSpace(because("the disk is full"), error);
  if (code === "EACCES" || code === "EROFS" || code === "ENOTDIR" || code === "EISDIR") {
    return new SaltError("Unavailable", because(error.message), {
      cause: error,
      next: "Name a data folder that this user may write (--data).",
      retryable: false,
    });
  }
  if (code !== "ERR_SQLITE_ERROR" || errcode === undefined) return error;
  switch (errcode & 0xff) {
    case full:
      return noSpace(because("the disk is full"), error);
    case busy:
      return new SaltError("Unavailable", because("another process has it open"), {
        cause: error,
        next: "Stop the other coordinator, or give this one a data folder of its own (--data).",
        retryable: false,
      });
    case corrupt:
    case notADatabase:
      return new SaltError("Unavailable", because(`the file is damaged (${error.message})`), {
        cause: error,
        next: "Stop the coordinator and restore the file from a backup.",
        retryable: false,
      });
    default:
      return new SaltError("Unavailable", because(error.message), {
        cause: error,
        next: "Look at the disk and at the permissions of the data folder.",
      });
  }
}

const noSpace = (message: string, cause: Error): SaltError =>
  new SaltError("NoSpace", message, { cause, next: "Free space on the disk of the data folder.", retryable: true });
