import { type CallKey, partitionOf, type RunId, taskId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Clock, Timer } from "#shared/ports.ts";
import type { Lease } from "#shared/protocol/agent.ts";
import type { Entry, Value } from "#shared/protocol/common.ts";
import { entryMark } from "#shared/protocol/entry-mark.ts";
import type { Engine, LogEntry } from "../engine/engine.ts";
import type { GroupMover } from "../engine/mover.ts";
import { type JournalRecord, journalLog, type TaskRecord, taskKey } from "../records.ts";
import { isSettled } from "../state/final-records.ts";

export interface FeedDeps {
  readonly engine: Engine;
  readonly mover: GroupMover;
  readonly clock: Clock;
  readonly logger: { warn(fields: object, message: string): void };
}

/** Entries of one `settled` frame: with inline values of 16 KiB at the most they stay far below the frame limit. */
const entriesPerFrame = 200;
const frameChars = limits.frameBytesMax / 4;
/** Before it reads again what the engine did not answer. */
const retryMs = 200;
/** That a call is journaled tells its program nothing new: such entries wait so long for company. */
const heldMs = 5;

/**
 * Gives one leased workflow its run's journal: what there is, then what is appended, in order and without gap.
 *
 * F1  `sent` is the position of the last entry handed on; only `sent + 1` follows it. Nothing is handed on before the
 *     lease itself was.
 * F2  What a commit of this coordinator appended is handed on from memory; anything else is read from the log.
 * F3  The output of a settled call rides along up to the lease's `journalEnd`, and later only when it is awaited.
 * F4  An entry that says no more than that the program's own call is journaled may wait `heldMs` for a next one.
 */
export class JournalFeed {
  readonly #run: RunId;
  readonly #deps: FeedDeps;
  readonly #send: (entries: Entry[]) => void;
  readonly #onClose: () => void;
  readonly #awaited = new Set<CallKey>();
  #journalEnd = 0;
  #sent = 0;
  #end = 0;
  /** The entries that follow `sent`, without a gap. */
  #pending: LogEntry[] = [];
  #started = false;
  /** The log may hold more than was heard of. */
  #unsure = false;
  #pumping = false;
  #again = false;
  #held: Timer | null = null;
  #closed = false;

  constructor(deps: FeedDeps, run: RunId, on: { send: (entries: Entry[]) => void; close: () => void }) {
    this.#deps = deps;
    this.#run = run;
    this.#send = on.send;
    this.#onClose = on.close;
  }

  /**
   * Reads the journal behind what is kept of it at the agent; answers its end, up to which the work is a replay, and what
   * tells the last kept entry from another in its place.
   */
  async load(kept: number): Promise<Pick<Lease, "journalEnd" | "kept">> {
    // The last that is kept is read too.
    let after = Math.max(0, kept - 1);
    for (;;) {
      const page = await this.#deps.engine.read(journalLog(this.#run), after, 10_000, limits.journalPageBytes);
      this.#pending.push(...page);
      const last = page.at(-1);
      if (!last) break;
      after = last.position;
    }
    const last = kept > 0 ? this.#pending.shift() : null;
    // An engine that failed over may have lost it.
    if (last === undefined) return this.load(0);
    this.#sent = last?.position ?? 0;
    this.#journalEnd = after;
    this.#end = Math.max(this.#end, after);
    const mark = last
      ? entryMark(entryOf(JSON.parse(last.value) as JournalRecord, last.position, last.atMs, null))
      : "";
    return { journalEnd: after, ...(last ? { kept: { p: last.position, mark } } : {}) };
  }

  /** Gives it all once more, from the first entry on. */
  again(): void {
    this.#again = true;
    void this.#pump();
  }

  start(): void {
    this.#started = true;
    void this.#pump();
  }

  /** Goes on after entries that the program has (a lease that was kept over a lost connection). */
  startAfter(position: number): void {
    this.#sent = position;
    this.#started = true;
    this.look();
  }

  await(keys: readonly CallKey[]): void {
    for (const key of keys) this.#awaited.add(key);
  }

  /** An entry that a commit of this coordinator appended. */
  append(entry: LogEntry): void {
    this.#end = Math.max(this.#end, entry.position);
    if (!this.#started) return;
    this.#follow([entry]);
    if (isOwnCall(entry) && this.#pending.length < entriesPerFrame) {
      this.#held ??= this.#deps.clock.after(heldMs, () => void this.#pump());
    } else void this.#pump();
  }

  /** The journal may have grown by another's commit. */
  look(): void {
    this.#unsure = true;
    if (this.#started) void this.#pump();
  }

  close(): void {
    this.#closed = true;
    this.#held?.cancel();
    this.#onClose();
  }

  /** Keeps of some entries those that follow the ones at hand. */
  #follow(entries: readonly LogEntry[]): void {
    let last = this.#pending.at(-1)?.position ?? this.#sent;
    for (const entry of entries) {
      if (entry.position !== last + 1) continue;
      this.#pending.push(entry);
      last = entry.position;
    }
  }

  async #pump(): Promise<void> {
    this.#held?.cancel();
    this.#held = null;
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      // All may be wanted again while the end was being looked for.
      while (!this.#closed && ((await this.#hasMore()) || this.#again)) await this.#handOn();
    } catch (error) {
      if (this.#closed) return;
      this.#deps.logger.warn({ err: error, run: this.#run }, "a journal could not be read and is read again");
      this.#unsure = true;
      this.#deps.clock.after(retryMs, () => void this.#pump());
    } finally {
      this.#pumping = false;
    }
  }

  #hasMore(): boolean | Promise<boolean> {
    if (this.#again) {
      this.#again = false;
      this.#pending = [];
      this.#sent = 0;
      this.#unsure = true;
    }
    return this.#pending.length > 0 || this.#readOn();
  }

  /** Reads what follows `sent`, and whether there is any. */
  async #readOn(): Promise<boolean> {
    while (this.#unsure || this.#end > this.#sent) {
      const end = this.#end;
      this.#unsure = false;
      const page = await this.#deps.engine.read(journalLog(this.#run), this.#sent, 1_000, limits.journalPageBytes);
      // Some of it may have been appended by a commit of this coordinator while it was read.
      this.#follow(page);
      if (this.#pending.length > 0) {
        this.#unsure ||= page.length > 0;
        return true;
      }
      // Unless more was heard of meanwhile, there is none.
      if (this.#end === end) this.#end = this.#sent;
    }
    return false;
  }

  async #handOn(): Promise<void> {
    const some = this.#pending.slice(0, entriesPerFrame);
    const entries = this.#entriesOf(some) ?? (await this.#readAndMake(some));
    if (this.#closed) return;
    this.#pending.splice(0, some.length);
    this.#sent = some.at(-1)?.position ?? this.#sent;
    this.#sendInFrames(entries);
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
    return taskKey(taskId(this.#run, entry.key));
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
      const task = this.#deps.mover.peek(partitionOf(this.#run), this.#keyOf(record), isSettled);
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
    const tasks = await this.#deps.mover.read(partitionOf(this.#run), keys, isSettled);
    const byKey = new Map(settled.map((record, index) => [record.key, tasks[index] ?? null]));
    return stored.map(({ position, atMs }, index) => {
      const record = records[index] as JournalRecord;
      const wanted = record.e === "settled" && this.#wantsRecord(record, position);
      return entryOf(record, position, atMs, wanted ? (byKey.get(record.key) ?? null) : null);
    });
  }
}

const isOwnCall = ({ value }: LogEntry): boolean => value.startsWith('{"e":"called"');

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
