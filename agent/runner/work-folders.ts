import { closeSync, constants, existsSync, fstatSync, mkdirSync, openSync, utimesSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { removeFolder } from "../data-folder.ts";
import type { WorkFolders } from "../ports.ts";

/** A folder's time of change while nothing has been put into it. */
const untouchedMs = 0;

/**
 * Whether a task left something in its folder is seen by the folder's time of change, which any entry made or removed
 * moves away from the epoch: one `fstat` a task, and no folder is made, listed or removed on the hot path. Folder 0 is
 * the process's first working directory.
 */
export class SystemWorkFolders implements WorkFolders {
  readonly #root: string;
  readonly #states: ("free" | "given" | "emptying")[] = [];
  /** Open folders, as looking at one by its descriptor takes half the time. */
  readonly #open: number[] = [];

  private constructor(root: string) {
    this.#root = root;
  }

  static create(root: string): SystemWorkFolders {
    const made = new SystemWorkFolders(root);
    made.#prepare(0);
    return made;
  }

  /** Takes up the folders of a process that is at work already: those of its attempts stay theirs. */
  static adopt(root: string, given: readonly string[]): SystemWorkFolders {
    const made = new SystemWorkFolders(root);
    for (let index = 0; existsSync(made.#path(index)) || index === 0; index += 1) {
      made.#states[index] = "given";
      if (!given.includes(made.#path(index))) made.take(made.#path(index))?.catch(() => {});
    }
    return made;
  }

  give(): string {
    const free = this.#states.indexOf("free");
    const index = free >= 0 ? free : this.#states.length;
    if (free < 0) this.#prepare(index);
    this.#states[index] = "given";
    return this.#path(index);
  }

  take(path: string): Promise<void> | null {
    const index = Number(path.slice(path.lastIndexOf("/") + 1));
    if (this.#isUntouched(index)) {
      this.#states[index] = "free";
      return null;
    }
    this.#states[index] = "emptying";
    return this.#empty(index);
  }

  close(): void {
    for (const index of this.#open.keys()) this.#forget(index);
  }

  #forget(index: number): void {
    const open = this.#open[index];
    delete this.#open[index];
    if (open !== undefined) closeSync(open);
  }

  #path(index: number): string {
    return join(this.#root, String(index));
  }

  #prepare(index: number): void {
    mkdirSync(this.#path(index), { recursive: true, mode: 0o700 });
    utimesSync(this.#path(index), untouchedMs, untouchedMs);
    this.#open[index] ??= openSync(
      this.#path(index),
      constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW,
    );
    this.#states[index] = "free";
  }

  #isUntouched(index: number): boolean {
    const open = this.#open[index];
    if (open === undefined) return false;
    const { mtimeMs, nlink } = fstatSync(open);
    // A folder that was removed has no name left.
    return mtimeMs === untouchedMs && nlink > 0;
  }

  /** Emptied in place, as the process may stand in it. */
  async #empty(index: number): Promise<void> {
    const path = this.#path(index);
    const names = await readdir(path).catch(() => null);
    if (names === null) {
      await removeFolder(path);
      this.#forget(index);
    }
    for (const name of names ?? []) await removeFolder(join(path, name));
    this.#prepare(index);
  }
}
