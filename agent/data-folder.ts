import { constants, rmdirSync } from "node:fs";
import { lstat, mkdir, mkdtemp, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { SaltError } from "#shared/domain/errors.ts";
import { type AgentId, newId } from "#shared/domain/ids.ts";
import type { Clock, Random } from "#shared/ports.ts";
import type { DataFolder } from "./ports.ts";

const socketFolderCharsMax = 70;

/**
 * Opens or makes the agent's folder on disk. It is refused when someone else could plant a binary in it, and held by a
 * lock that the operating system drops with the process, so that kill -9 leaves nothing to clear up.
 * `NotAllowed` when it is a symbolic link, another user's, or writable by others; `Conflict`
 * when a living agent uses it.
 */
export async function openDataFolder(path: string, deps: { clock: Clock; random: Random }): Promise<DataFolder> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await refuseUnsafeFolder(path);
  const lock = takeLock(path);
  try {
    for (const name of ["binaries", "outbox", "processes"]) {
      await mkdir(join(path, name), { recursive: true, mode: 0o700 });
      await refuseUnsafeFolder(join(path, name));
    }
    const id = await readIdentity(path, deps);
    const socketFolder = await openSocketFolder(path);
    const close = () => {
      removeIfEmpty(socketFolder);
      lock.close();
    };
    return { path, id, socketFolder, close };
  } catch (error) {
    lock.close();
    throw error;
  }
}

async function refuseUnsafeFolder(path: string): Promise<void> {
  const found = await lstat(path);
  const what = found.isSymbolicLink()
    ? "it is a symbolic link"
    : !found.isDirectory()
      ? "it is not a folder"
      : process.getuid !== undefined && found.uid !== process.getuid()
        ? `it belongs to user ${found.uid}`
        : (found.mode & 0o022) !== 0
          ? "other users may write to it"
          : null;
  if (what === null) return;
  throw new SaltError("NotAllowed", `Cannot use '${path}' as the agent's data folder: ${what}.`, {
    next: "Give a folder that belongs to the agent's user, with mode 0700.",
  });
}

/** SQLite's exclusive lock: portable, between processes and within one, and gone with its holder. */
function takeLock(path: string): DatabaseSync {
  const lock = new DatabaseSync(join(path, "lock.db"), { timeout: 0 });
  try {
    lock.exec("PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    return lock;
  } catch (cause) {
    lock.close();
    throw new SaltError("Conflict", `Cannot use '${path}' as the agent's data folder: a running agent uses it.`, {
      next: "Stop the other agent, or give this one a data folder of its own.",
      cause,
    });
  }
}

async function readIdentity(path: string, deps: { clock: Clock; random: Random }): Promise<AgentId> {
  const file = join(path, "agent.json");
  const text = await readFile(file, "utf8").catch(() => null);
  if (text !== null) {
    const id = /"id":"(agt_[0-9a-z]{26})"/.exec(text)?.[1];
    if (id !== undefined) return id as AgentId;
  }
  const id = newId("agt", deps.clock, deps.random) as AgentId;
  await writeDurably(file, JSON.stringify({ id }));
  return id;
}

/** The same folder again after a restart, as living programs dial into it; another when it is lost or not ours. */
async function openSocketFolder(path: string): Promise<string> {
  const file = join(path, "sockets");
  const known = await readFile(file, "utf8").catch(() => null);
  if (known !== null) {
    const safe = await refuseUnsafeFolder(known).then(
      () => true,
      () => false,
    );
    if (safe) return known;
  }
  const root = tmpdir().length <= socketFolderCharsMax ? tmpdir() : "/tmp";
  const made = await mkdtemp(join(root, "salt-"));
  await writeDurably(file, made);
  return made;
}

/** Nothing is left in the system's folder for temporary files; sockets that are still in use keep it. */
function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // It is not empty, or gone already.
  }
}

/** Replaces a small file so that a crash leaves the old text or the new. */
export async function writeDurably(file: string, text: string): Promise<void> {
  const part = `${file}.part`;
  await writeFile(part, text, { mode: 0o600, flush: true });
  await rename(part, file);
  await syncFolder(join(file, ".."));
}

/** Makes names in a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Removes a folder and what is in it, whatever that is. */
export const removeFolder = (path: string): Promise<void> => rm(path, { recursive: true, force: true, maxRetries: 2 });
