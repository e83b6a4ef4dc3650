import type { RunId } from "#shared/domain/ids.ts";
import type { Check, Key, Score } from "../engine/engine.ts";
import type { Draft, DraftWrite, View } from "../engine/move.ts";
import { type JournalRecord, journalLog } from "../records.ts";

/**
 * One transaction being put together by the steps of a move: a record set twice is written once, and a step sees what
 * the steps before it set.
 */
export class Change {
  readonly view: View;
  readonly #records = new Map<Key, object>();
  readonly #checks: Check[] = [];
  readonly #writes: DraftWrite[] = [];
  readonly #further: Draft[] = [];

  constructor(view: View) {
    this.view = view;
  }

  get<T>(key: Key): T | null {
    return (this.#records.get(key) as T | undefined) ?? this.view.get<T>(key);
  }

  set(key: Key, value: object): void {
    this.#records.set(key, value);
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
    return [{ checks: this.#checks, writes: [...sets, ...this.#writes] }, ...this.#further];
  }
}
