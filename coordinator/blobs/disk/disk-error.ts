import { SaltError } from "#shared/domain/errors.ts";

const full = new Set(["ENOSPC", "EDQUOT"]);
const refused = new Set([
  "EACCES",
  "EPERM",
  "EROFS",
  "ENOTDIR",
  "EISDIR",
  "EIO",
  "EMFILE",
  "ENFILE",
  "ENOENT",
  "EEXIST",
]);

/** What the file system reports, as an operating error; other errors stay what they are. */
export function toSaltError(error: unknown, attempted: string): unknown {
  const { code } = error as { code?: string };
  if (!(error instanceof Error) || error instanceof SaltError || code === undefined) return error;
  if (full.has(code)) {
    return new SaltError("NoSpace", `Cannot ${attempted}: the disk is full.`, {
      cause: error,
      next: "Free space on the disk of the data folder.",
      retryable: true,
    });
  }
  if (!refused.has(code)) return error;
  return new SaltError("Unavailable", `Cannot ${attempted}: ${error.message}.`, {
    cause: error,
    next: "Look at the disk and at the permissions of the data folder.",
  });
}
