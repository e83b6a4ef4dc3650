import type { Disk, LinesFile } from "#agent/ports.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import type { Life } from "./life.ts";

interface FileState {
  /** What is read; null when removed. */
  text: string | null;
  /** What outlives the machine's end; null when nothing does. */
  durable: string | null;
}

/**
 * The disk of one machine. Writes are seen at once by whoever lives on the machine; what was not made durable may be lost
 * with it, file by file.
 */
export class MachineDisk {
  readonly #files = new Map<string, FileState>();
  readonly #random: SeededRandom;
  full = false;
  /** Hears what is appended to files of lines. */
  onLines: (text: string) => void = () => undefined;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  /** The machine ends: what was not synced is there or not. */
  crash(): void {
    for (const [path, file] of this.#files) {
      if (file.text === file.durable || this.#random.chance(0.5)) continue;
      const { text, durable } = file;
      // An append that was under way may have come to some of its bytes.
      const torn = text?.startsWith(durable ?? "") === true && this.#random.chance(0.3);
      file.text = torn ? text.slice(0, this.#random.between(durable?.length ?? 0, text.length)) : durable;
      if (file.text === null) this.#files.delete(path);
    }
    for (const file of this.#files.values()) file.durable = file.text;
  }

  read(path: string): string | null {
    return this.#files.get(path)?.text ?? null;
  }

  write(path: string, text: string, durably = false): void {
    if (this.full) throw noSpace(path);
    const file = this.#files.get(path) ?? { text: null, durable: null };
    this.#files.set(path, file);
    file.text = text;
    if (durably) file.durable = text;
  }

  /** The file at `path`, and all below it. */
  remove(path: string): void {
    for (const [name, file] of this.#files) if (name === path || name.startsWith(`${path}/`)) file.text = null;
  }

  list(folder: string): string[] {
    const names = new Set<string>();
    for (const [name, { text }] of this.#files) {
      if (text !== null && name.startsWith(`${folder}/`)) names.add(name.slice(folder.length + 1).split("/")[0] ?? "");
    }
    return [...names];
  }

  /** The disk as a process of the machine has it: what it began may not be done any more when it ends. */
  for(life: Life): Disk {
    const later = <T>(what: () => T): Promise<T> =>
      new Promise((resolve, reject) => {
        const tookMs = 0.05 + this.#random.float() * 0.5;
        life.reach(tookMs, () => {
          try {
            const answer = what();
            life.reach(tookMs, () => resolve(answer));
          } catch (error) {
            life.reach(tookMs, () => reject(error as Error));
          }
        });
      });
    return {
      makeFolder: () => later(() => undefined),
      list: (folder) => later(() => this.list(folder)),
      read: (file) => later(() => this.read(file)),
      write: (file, text) => this.write(file, text),
      writeDurably: (file, text) => later(() => this.write(file, text, true)),
      remove: (path) => later(() => this.remove(path)),
      openLines: (file) => this.#openLines(file),
    };
  }

  #openLines(path: string): LinesFile {
    return {
      text: this.read(path) ?? "",
      append: (text) => {
        this.onLines(text);
        this.write(path, (this.read(path) ?? "") + text);
      },
      replace: (text) => {
        this.onLines(text);
        this.write(path, text);
      },
      close() {},
    };
  }
}

const noSpace = (path: string): Error =>
  Object.assign(new Error(`ENOSPC: no space left on device, write '${path}'`), { code: "ENOSPC" });
