import { type CallKey, partitionOf, type RunId, type TaskId, taskId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Entry, Value } from "#shared/protocol/common.ts";
import type { Engine, LogEntry } from "../engine/engine.ts";
import type { GroupMover } from "../engine/mover.ts";
import { type JournalRecord, journalLog, type TaskRecord, taskKey } from "../records.ts";

export interface FeedDeps {
  readonly engine: Engine;
  readonly mover: GroupMover;
}

/** Entries of one `settled` frame: with inline values of 16 KiB at the most they stay far below the frame limit. */
const entriesPerFrame = 200;
const frameChars = limits.frameBytesMax / 4;

/**
 * Gives one leased workflow its run's journal: what there is, then what is appended, in order and without gap.
 *
 * F1  `sent` is the position of the last entry handed on; only `sent + 1` follows it.
 * F2  What a commit of this coordinator appended is handed on from memory; anything else is read from the log.
 * F3  The output of a settled call rides along up to the lease's `journalEnd`, and later only when it is awaited.
 */
export class JournalFeed {
  readonly task: TaskId;
  readonly run: RunId;
  readonly fence: number;
  readonly #deps: FeedDeps;
  readonly #send: (entries: Entry[]) => void;
  readonly #awaited = new Set<CallKey>();
  #journalEnd = 0;
  #sent = 0;
  #end = 0;
  #pending: LogEntry[] = [];
  #pumping = false;
  #closed = false;

  readonly #onClose: () => void;

  constructor(
    deps: FeedDeps,
    lease: { task: TaskId; run: RunId; fence: number },
    send: (entries: Entry[]) => void,
    onClose: () => void,
  ) {
    this.#onClose = onClose;
    this.#deps = deps;
    this.task = lease.task;
    this.run = lease.run;
    this.fence = lease.fence;
    this.#send = send;
  }

  /** Reads the whole journal; answers its end, up to which the work is a replay. */
  async load(): Promise<number> {
    let after = 0;
    for (;;) {
      const page = await this.#deps.engine.read(journalLog(this.run), after, 10_000, limits.journalPageBytes);
      this.#pending.push(...page);
      const last = page.at(-1);
      if (!last) break;
      after = last.position;
    }
    this.#journalEnd = Math.max(after, 0);
    this.#end = Math.max(this.#end, after);
    return this.#journalEnd;
  }

  start(): void {
    void this.#pump();
  }

  /** Goes on after entries that the program has (a lease that was kept over a lost connection). */
  startAfter(position: number): void {
    this.#sent = position;
    this.#end = Number.MAX_SAFE_INTEGER;
    void this.#pump();
  }

  await(keys: readonly CallKey[]): void {
    for (const key of keys) this.#awaited.add(key);
  }

  /** An entry that a commit of this coordinator appended. */
  append(entry: LogEntry): void {
    this.#end = Math.max(this.#end, entry.position);
    const last = this.#pending.at(-1)?.position ?? this.#sent;
    if (entry.position === last + 1) this.#pending.push(entry);
    void this.#pump();
  }

  /** The journal may have grown by another's commit. */
  look(): void {
    this.#end = Number.MAX_SAFE_INTEGER;
    void this.#pump();
  }

  close(): void {
    this.#closed = true;
    this.#onClose();
  }

  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (!this.#closed) {
        if (this.#pending.length === 0) {
          if (this.#end <= this.#sent) return;
          const page = await this.#deps.engine.read(journalLog(this.run), this.#sent, 1_000, limits.journalPageBytes);
          if (page.length === 0) {
            this.#end = this.#sent;
            return;
          }
          this.#pending.push(...page);
        }
        const some = this.#pending.splice(0, entriesPerFrame);
        const entries = this.#entriesOf(some) ?? (await this.#readAndMake(some));
        if (this.#closed) return;
        this.#sent = some.at(-1)?.position ?? this.#sent;
        this.#sendInFrames(entries);
      }
    } finally {
      this.#pumping = false;
    }
  }

  #sendInFrames(entries: Entry[]): void {
    let frame: Entry[] = [];
    let chars = 0;
    for (const entry of entries) {
      const length = "value" in entry && entry.value && "json" in entry.value ? entry.value.json.length + 200 : 200;
      if (chars + length > frameChars && frame.length > 0) {
        this.#send(frame);
        frame = [];
        chars = 0;
      }
      frame.push(entry);
      chars += length;
    }
    if (frame.length > 0) this.#send(frame);
  }

  #keyOf(entry: { key: CallKey }) {
    return taskKey(taskId(this.run, entry.key));
  }

  /** Null when a record that is needed is not at hand. */
  #entriesOf(stored: readonly LogEntry[]): Entry[] | null {
    const entries: Entry[] = [];
    for (const { position, atMs, value } of stored) {
      const record = JSON.parse(value) as JournalRecord;
      if (record.e !== "settled" || !this.#wantsRecord(record, position)) {
        entries.push(entryOf(record, position, atMs, null));
        continue;
      }
      const task = this.#deps.mover.peek<TaskRecord>(partitionOf(this.run), this.#keyOf(record));
      if (task === undefined) return null;
      entries.push(entryOf(record, position, atMs, task));
    }
    return entries;
  }

  #wantsRecord(record: Extract<JournalRecord, { e: "settled" }>, position: number): boolean {
    if (record.value) return false;
    return position <= this.#journalEnd || record.outcome !== "succeeded" || this.#awaited.has(record.key);
  }

  async #readAndMake(stored: readonly LogEntry[]): Promise<Entry[]> {
    const records = stored.map(({ value }) => JSON.parse(value) as JournalRecord);
    const settled = records.filter((record) => record.e === "settled");
    const keys = settled.map((record) => this.#keyOf(record));
    const tasks = await this.#deps.mover.read<TaskRecord>(partitionOf(this.run), keys);
    const byKey = new Map(settled.map((record, index) => [record.key, tasks[index] ?? null]));
    return stored.map(({ position, atMs }, index) => {
      const record = records[index] as JournalRecord;
      const wanted = record.e === "settled" && this.#wantsRecord(record, position);
      return entryOf(record, position, atMs, wanted ? (byKey.get(record.key) ?? null) : null);
    });
  }
}

function entryOf(record: JournalRecord, p: number, at: number, task: TaskRecord | null): Entry {
  switch (record.e) {
    case "called":
      return { p, at, e: "called", key: record.key, kind: record.kind, name: record.name, digest: record.digest };
    case "settled": {
      const value: Value | null | undefined = record.value ?? task?.output;
      return {
        p,
        at,
        e: "settled",
        key: record.key,
        outcome: record.outcome,
        ...(value ? { value } : {}),
        ...(task?.failure ? { failure: task.failure } : {}),
      } as Entry;
    }
    case "signal":
      return { p, at, e: "signal", id: record.id, name: record.name, value: record.value };
    case "cancel":
      return { p, at, e: "cancel", reason: record.reason };
    default:
      return { p, at, e: "note", kind: record.e };
  }
}
