import { partitionOf, type RunId, type Sha256 } from "#shared/domain/ids.ts";
import type { Value } from "#shared/protocol/common.ts";
import type { Check, Key, Score } from "../engine/engine.ts";
import type { Draft, DraftWrite, View } from "../engine/move.ts";
import { type JournalRecord, journalLog, type RefList } from "../records.ts";
import { digestsOf, referOfRun } from "./blob-refs.ts";
import { usersIndex } from "./kept-records.ts";

/**
 * One transaction being put together by the steps of a move: a record set twice is written once, and a step sees what
 * the steps before it set. What it writes of a run refers to the blobs and releases that it names, without a step asking for it (C9).
 */
export class Change {
  readonly view: View;
  readonly #records = new Map<Key, object>();
  readonly #checks: Check[] = [];
  readonly #writes: DraftWrite[] = [];
  readonly #further: Draft[] = [];
  readonly #blobs = new Map<RunId, Set<Sha256>>();

  constructor(view: View) {
    this.view = view;
  }

  get<T>(key: Key): T | null {
    return (this.#records.get(key) as T | undefined) ?? this.view.get<T>(key);
  }

  set(key: Key, value: object): void {
    this.#records.set(key, value);
    const run = runOfKey(key);
    if (run) this.#refer(run, value as ValuesOfRecord);
  }

  check(check: Check): void {
    this.#checks.push(check);
  }

  write(...writes: readonly DraftWrite[]): void {
    this.#writes.push(...writes);
  }

  rank(index: Key, member: string, score: Score, value?: string): void {
    this.#writes.push(
      value === undefined ? { kind: "rank", index, member, score } : { kind: "rank", index, member, score, value },
    );
  }

  unrank(index: Key, member: string): void {
    this.#writes.push({ kind: "unrank", index, member });
  }

  /** Whether a step before has taken a member out of an index. */
  isUnranked(index: Key, member: string): boolean {
    return this.#writes.some((write) => write.kind === "unrank" && write.index === index && write.member === member);
  }

  journal(run: RunId, record: JournalRecord): void {
    this.#writes.push({ kind: "append", log: journalLog(run), value: JSON.stringify(record) });
    if ("value" in record) this.#refer(run, { output: record.value });
    if (record.e === "called" && record.release !== undefined) {
      this.rank(usersIndex(partitionOf(run), record.release), run, { at: 0 });
    }
  }

  add(counter: Key, delta: number): void {
    this.#writes.push({ kind: "add", counter, delta });
  }

  /** A transaction that follows this one and may not apply although this one does. */
  follow(draft: Draft): void {
    this.#further.push(draft);
  }

  drafts(): Draft[] {
    const sets = [...this.#records].map(([key, value]): DraftWrite => ({ kind: "set", key, value }));
    const references = [...this.#blobs].flatMap(([run, digests]) => referOfRun(partitionOf(run), run, [...digests]));
    return [{ checks: this.#checks, writes: [...sets, ...this.#writes, ...references] }, ...this.#further];
  }

  #refer(run: RunId, { input, output, manyRefs }: ValuesOfRecord): void {
    const digests = digestsOf(input, output, manyRefs);
    if (digests.length === 0) return;
    const known = this.#blobs.get(run) ?? new Set();
    this.#blobs.set(run, known);
    for (const digest of digests) known.add(digest);
  }
}

/** Where the records of runs and tasks have values. */
interface ValuesOfRecord {
  readonly input?: Value | null | undefined;
  readonly output?: Value | null | undefined;
  readonly manyRefs?: RefList | null | undefined;
}

/** The run that a record is of, by its key: a run's own or a task's. */
function runOfKey(key: Key): RunId | null {
  const match = /^\{\w+\}(?:run|task)\/(run_\w{28})(?:\/|$)/.exec(key);
  return (match?.[1] as RunId | undefined) ?? null;
}
