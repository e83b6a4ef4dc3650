import { closeSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from "node:fs";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { removeFolder, writeDurably } from "./data-folder.ts";
import type { Disk, LinesFile } from "./ports.ts";

/** The machine's disk. What is made is the agent's user's alone. */
export const systemDisk: Disk = {
  async makeFolder(path) {
    await mkdir(path, { recursive: true, mode: 0o700 });
  },
  list: (folder) => orNone(readdir(folder), []),
  read: (file) => orNone(readFile(file, "utf8"), null),
  write: (file, text) => writeFileSync(file, text, { mode: 0o600 }),
  writeDurably,
  remove: removeFolder,
  openLines: (file) => new SystemLines(file),
};

async function orNone<T>(found: Promise<T>, none: T): Promise<T> {
  try {
    return await found;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return none;
    throw error;
  }
}

class SystemLines implements LinesFile {
  readonly text: string;
  readonly #file: string;
  #fd: number;

  constructor(file: string) {
    this.#file = file;
    this.#fd = openSync(file, "a+", 0o600);
    this.text = readFileSync(file, "utf8");
  }

  append(text: string): void {
    writeSync(this.#fd, text);
  }

  replace(text: string): void {
    writeFileSync(`${this.#file}.part`, text, { mode: 0o600 });
    closeSync(this.#fd);
    renameSync(`${this.#file}.part`, this.#file);
    this.#fd = openSync(this.#file, "a", 0o600);
  }

  close(): void {
    closeSync(this.#fd);
  }
}
