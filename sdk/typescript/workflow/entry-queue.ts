import type { ProgramEntry } from "#shared/protocol/task.ts";

/** Journal entries that were received, in order, of which the first ones are delivered. */
export interface EntryQueue {
  /** `old`: it came before (after a lost connection). `gap`: entries before it are missing. */
  add(entry: ProgramEntry): "added" | "old" | "gap";
  /** The next to be delivered. */
  head(): ProgramEntry | undefined;
  /** The head is delivered. */
  pass(): void;
  /** Position of the last entry received. */
  readonly given: number;
}

/** Delivered entries are let go of in lots, since taking the first off an array costs its length. */
const lot = 1_000;

export function createEntryQueue(): EntryQueue {
  let entries: ProgramEntry[] = [];
  let next = 0;
  let given = 0;
  return {
    add(entry) {
      if (entry.p <= given) return "old";
      if (entry.p !== given + 1) return "gap";
      given = entry.p;
      entries.push(entry);
      return "added";
    },
    head: () => entries[next],
    pass() {
      next += 1;
      if (next < lot) return;
      entries = entries.slice(next);
      next = 0;
    },
    get given() {
      return given;
    },
  };
}
