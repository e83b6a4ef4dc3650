import { createHash } from "node:crypto";
import {
  closeSync,
  constants,
  createReadStream,
  fstatSync,
  openSync,
  readlinkSync,
  readSync,
  realpathSync,
} from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve, sep } from "node:path";
import { type Sha256, sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Value } from "#shared/protocol/common.ts";
import type { ProgramValue } from "#shared/protocol/task.ts";
import { FileFinder, filesInBytes } from "#shared/values/files-in.ts";
import type { BlobClient } from "../cache/blob-client.ts";
import { AttemptFailed, failureOf } from "../failures.ts";
import type { Attempt } from "../leases/attempt.ts";

/** Carries values between coordinator and program: inline as they are, larger ones as blobs there and files here. */
export interface Values {
  /** For the program. A blob becomes a file, which is removed with the attempt. */
  bring(attempt: Attempt, value: Value): ProgramValue | Promise<ProgramValue>;
  /** A blob as a file. */
  bringBlob(attempt: Attempt, sha256: Sha256, bytesMax: number): Promise<{ path: string; bytes: number }>;
  /** For the coordinator. `AttemptFailed` when the program names a file that is not its to give, or too large a one. */
  take(attempt: Attempt, value: ProgramValue): Value | Promise<Value>;
  /** Stores a file that an output names. */
  takeFile(attempt: Attempt, file: { path: string; sha256: Sha256; bytes: number }): Promise<void>;
  /** Replaces a file that was brought by one with another text. */
  rewrite(file: string, text: (before: string) => Promise<string>): Promise<{ path: string; bytes: number }>;
  /** Removes the attempt's files. */
  release(attempt: Attempt): void;
}

export function createValues(deps: { blobs: BlobClient; folder: string }): Values {
  const { blobs, folder } = deps;
  const bringBlob = async (attempt: Attempt, digest: Sha256, bytesMax: number) => {
    const path = join(folder, `${attempt.argsId}.${attempt.valueFiles.length}`);
    attempt.valueFiles.push(path);
    attempt.abort ??= new AbortController();
    const { bytes } = await blobs.fetchTo(digest, path, { bytesMax, mode: 0o400, signal: attempt.abort.signal });
    return { path, bytes };
  };
  return {
    bringBlob,
    bring: (attempt, value) => ("json" in value ? value : bringBlob(attempt, value.blob, value.bytes)),
    take(attempt, value) {
      if (!("json" in value)) return takeValueFile(blobs, attempt, value.path);
      // A text of so few characters cannot exceed the bound in bytes.
      if (value.json.length * 3 <= limits.inlineBytesMax) return value;
      const bytes = Buffer.from(value.json);
      return bytes.length <= limits.inlineBytesMax ? value : storeBytes(blobs, bytes);
    },
    async takeFile(attempt, file) {
      const { fd, bytes } = openProgramFile(attempt.folder, file.path);
      try {
        if (bytes !== file.bytes) throw refusal(file.path, `it has ${bytes} bytes, not ${file.bytes}`);
        const digest = await hashFile(fd);
        if (digest !== file.sha256) throw refusal(file.path, `its SHA-256 is ${digest}, not ${file.sha256}`);
        await blobs.put(file.sha256, bytes === 0 ? new Uint8Array() : { fd, bytes });
      } finally {
        closeSync(fd);
      }
    },
    async rewrite(file, text) {
      const after = Buffer.from(await text(await readFile(file, "utf8")));
      await rm(file, { force: true });
      await writeFile(file, after, { flag: "wx", mode: 0o400 });
      return { path: file, bytes: after.length };
    },
    release(attempt) {
      for (const path of attempt.valueFiles) void rm(path, { force: true });
    },
  };
}

async function storeBytes(blobs: BlobClient, bytes: Buffer): Promise<Value> {
  const blob = sha256(bytes);
  await blobs.put(blob, bytes);
  return { blob, bytes: bytes.length, ...named(filesInBytes(bytes)) };
}

/** The files that a value names, for the coordinator to keep with it. */
function named(files: Sha256[]): { files?: Sha256[] } {
  if (files.length === 0) return {};
  if (files.length <= limits.filesPerValueMax) return { files };
  const message = `A value names ${files.length} files, at most ${limits.filesPerValueMax} (filesPerValueMax) are allowed.`;
  throw new AttemptFailed(failureOf("OutputTooLarge", message, { retryable: false }));
}

async function takeValueFile(blobs: BlobClient, attempt: Attempt, path: string): Promise<Value> {
  const { fd, bytes } = openProgramFile(attempt.folder, path);
  try {
    if (bytes > limits.valueBytesMax) {
      const message = `The value in '${path}' has ${bytes} bytes, at most ${limits.valueBytesMax} are allowed.`;
      throw new AttemptFailed(failureOf("OutputTooLarge", message, { retryable: false }));
    }
    if (bytes <= limits.inlineBytesMax) {
      const text = Buffer.alloc(bytes);
      return { json: text.subarray(0, readSync(fd, text, 0, bytes, 0)).toString() };
    }
    const finder = new FileFinder();
    const blob = await hashFile(fd, (part) => finder.add(part));
    const files = named(finder.files);
    await blobs.put(blob, { fd, bytes });
    return { blob, bytes, ...files };
  } finally {
    closeSync(fd);
  }
}

async function hashFile(fd: number, onPart?: (part: Buffer) => void): Promise<Sha256> {
  const hash = createHash("sha256");
  for await (const part of createReadStream("", { fd, start: 0, autoClose: false })) {
    hash.update(part as Buffer);
    onPart?.(part as Buffer);
  }
  return hash.digest("hex") as Sha256;
}

const refusal = (path: string, why: string) =>
  new AttemptFailed(
    failureOf("ProtocolViolation", `The program named '${path}' as a value, but ${why}.`, { retryable: false }),
  );

/**
 * Opens a file that a program names. Only a regular file with one name, inside the work folder, is taken: links are not
 * followed, nothing is waited for (a FIFO), and what was opened is looked at again after opening.
 */
function openProgramFile(folder: string, named: string): { fd: number; bytes: number } {
  const root = realpathSync(folder);
  const inside = (path: string) => path === root || path.startsWith(root + sep);
  const path = resolve(root, named);
  let fd: number;
  try {
    const parent = realpathSync(dirname(path));
    if (!inside(parent)) throw refusal(named, "it is outside the work folder");
    fd = openSync(join(parent, basename(path)), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (error instanceof AttemptFailed) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    throw refusal(named, code === "ELOOP" ? "it is a symbolic link" : `it cannot be opened (${code})`);
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw refusal(named, "it is not a regular file");
    if (stat.nlink !== 1) throw refusal(named, "it has another name elsewhere (a hard link)");
    if (process.platform === "linux" && !inside(readlinkSync(`/proc/self/fd/${fd}`))) {
      throw refusal(named, "it is outside the work folder");
    }
    return { fd, bytes: stat.size };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
