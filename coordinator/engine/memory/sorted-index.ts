import type { IndexRow, RangeQuery } from "../engine.ts";

/** Members with their scores, in ascending order of score and then of the member's UTF-8 bytes. */
export class SortedIndex {
  readonly #scores = new Map<string, number>();
  readonly #rows: IndexRow[] = [];

  get size(): number {
    return this.#rows.length;
  }

  get first(): IndexRow | undefined {
    return this.#rows[0];
  }

  has(member: string): boolean {
    return this.#scores.has(member);
  }

  set(row: IndexRow): void {
    this.delete(row.member);
    this.#scores.set(row.member, row.score);
    this.#rows.splice(this.#place(row), 0, row);
  }

  /** Whether the member was there. */
  delete(member: string): boolean {
    const score = this.#scores.get(member);
    if (score === undefined) return false;
    this.#scores.delete(member);
    this.#rows.splice(this.#place({ score, member }), 1);
    return true;
  }

  range(query: RangeQuery): IndexRow[] {
    const { from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY, after, limit, reverse = false } = query;
    const direction = reverse ? -1 : 1;
    const within = this.#rows.filter(
      (row) => row.score >= from && row.score <= to && (after === undefined || compareRows(row, after) * direction > 0),
    );
    return (reverse ? within.reverse() : within).slice(0, limit);
  }

  /** Where the row is, or would be. */
  #place(row: { score: number; member: string }): number {
    let low = 0;
    let high = this.#rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#rows[middle];
      if (other !== undefined && compareRows(other, row) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

type Place = Pick<IndexRow, "score" | "member">;

function compareRows(a: Place, b: Place): number {
  return a.score - b.score || Buffer.compare(Buffer.from(a.member), Buffer.from(b.member));
}
