import type { CallKey, TaskId } from "#shared/domain/ids.ts";
import type { Lease } from "#shared/protocol/agent.ts";
import type { Entry, Value } from "#shared/protocol/common.ts";
import { entryMark } from "#shared/protocol/entry-mark.ts";

/** Entries that follow on each other, as the text of a JSON array. */
export interface JournalPage {
  /** Position of its last entry. */
  readonly to: number;
  readonly text: string;
  /** Whether some of its values are blobs, which each attempt has to be brought. */
  readonly blobs: boolean;
}

export interface KeptJournal {
  readonly pages: readonly JournalPage[];
  /** Outputs that came apart from their entries, since they were asked for later. */
  readonly outputs: Readonly<Record<CallKey, Value>>;
}

interface Kept {
  pages: JournalPage[];
  readonly outputs: Map<CallKey, Value>;
  bytes: number;
  /** Its workflow is parked: what came is what was in the journal, up to its end. */
  parked: boolean;
}

/** Pages are joined up to this: an entry each would be as many lines on a replay. */
const pageCharsMax = 256 * 1024;
/** What a page or output costs besides its text. */
const overheadBytes = 200;

/**
 * C22: the journals that workflows were given here, so that a coordinator need not send them again when one wakes. In
 * memory, bounded in bytes; those that were added to longest ago go first.
 */
export class KeptJournals {
  readonly #bytesMax: number;
  readonly #kept = new Map<TaskId, Kept>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Adds what follows what is kept. After a gap nothing is kept any more; a journal that begins anew replaces it. */
  add(task: TaskId, from: number, page: JournalPage): void {
    const kept = from === 1 ? this.#begin(task) : this.#kept.get(task);
    if (!kept) return;
    if (from !== (kept.pages.at(-1)?.to ?? 0) + 1) {
      this.forget(task);
      return;
    }
    kept.pages.push(page);
    this.#grow(task, kept, textBytes(page.text));
  }

  addOutputs(task: TaskId, outputs: Readonly<Record<string, Value>>): void {
    const kept = this.#kept.get(task);
    if (!kept) return;
    let bytes = 0;
    for (const [key, value] of Object.entries(outputs)) {
      if (kept.outputs.has(key as CallKey)) continue;
      kept.outputs.set(key as CallKey, value);
      bytes += textBytes(key) + ("json" in value ? textBytes(value.json) : overheadBytes);
    }
    this.#grow(task, kept, bytes);
  }

  /** The workflow was let go with what it has been given; else what it was given is not given again. */
  park(task: TaskId): void {
    const kept = this.#kept.get(task);
    if (kept) kept.parked = true;
  }

  /** The journal of a parked workflow, if it ends with the entry that the mark is of; it is added to from then on. */
  find(task: TaskId, { p, mark }: NonNullable<Lease["kept"]>): KeptJournal | null {
    const kept = this.#kept.get(task);
    const last = kept?.pages.at(-1);
    if (!kept?.parked || last?.to !== p || markOf(last) !== mark) {
      this.forget(task);
      return null;
    }
    kept.parked = false;
    kept.pages = joined(kept.pages);
    return { pages: kept.pages, outputs: Object.fromEntries(kept.outputs) };
  }

  forget(task: TaskId): void {
    this.#bytes -= this.#kept.get(task)?.bytes ?? 0;
    this.#kept.delete(task);
  }

  #begin(task: TaskId): Kept {
    this.forget(task);
    const kept: Kept = { pages: [], outputs: new Map(), bytes: 0, parked: false };
    this.#kept.set(task, kept);
    return kept;
  }

  #grow(task: TaskId, kept: Kept, bytes: number): void {
    kept.bytes += bytes;
    this.#bytes += bytes;
    this.#kept.delete(task);
    this.#kept.set(task, kept);
    while (this.#bytes > this.#bytesMax) {
      const [oldest] = this.#kept.keys();
      if (oldest === undefined) return;
      this.forget(oldest);
    }
  }
}

/** A character takes two bytes in a string that is not all Latin. */
const textBytes = (text: string): number => 2 * text.length + overheadBytes;

const markOf = (page: JournalPage): string => entryMark((JSON.parse(page.text) as Entry[]).at(-1) as Entry);

function joined(pages: readonly JournalPage[]): JournalPage[] {
  const groups: JournalPage[][] = [];
  let chars = Number.POSITIVE_INFINITY;
  for (const page of pages) {
    if (chars + page.text.length > pageCharsMax) {
      groups.push([]);
      chars = 0;
    }
    groups.at(-1)?.push(page);
    chars += page.text.length;
  }
  return groups.map((group) => {
    const [first] = group;
    if (group.length === 1 && first) return first;
    const text = `[${group.map((page) => page.text.slice(1, -1)).join(",")}]`;
    return { to: group.at(-1)?.to ?? 0, text, blobs: group.some(({ blobs }) => blobs) };
  });
}
