import { describe, expect, test } from "vitest";
import type { CallKey, TaskId } from "#shared/domain/ids.ts";
import type { Entry } from "#shared/protocol/common.ts";
import { entryMark } from "#shared/protocol/entry-mark.ts";
import { KeptJournals } from "./kept-journals.ts";

const task = (n: number) => `run_${String(n).padStart(28, "0")}/@workflow` as TaskId;
const entry = (p: number, at = p): Entry => ({ p, at, e: "note", kind: "opened" });
const kept = (last: Entry) => ({ p: last.p, mark: entryMark(last) });

function add(journals: KeptJournals, id: TaskId, entries: readonly Entry[]): void {
  const [first] = entries;
  const text = JSON.stringify(entries);
  journals.add(id, first?.p ?? 0, { to: entries.at(-1)?.p ?? 0, text, blobs: false });
}

const entriesIn = (journals: KeptJournals, id: TaskId, last: Entry): Entry[] | null =>
  journals.find(id, kept(last))?.pages.flatMap(({ text }) => JSON.parse(text) as Entry[]) ?? null;

describe("C22 the journals that an agent keeps", () => {
  test("hold what a parked workflow was given, joined into few pages", () => {
    const journals = new KeptJournals(1_000_000);
    for (let p = 1; p <= 500; p++) add(journals, task(1), [entry(p)]);
    journals.park(task(1));
    const found = journals.find(task(1), kept(entry(500)));
    expect(found?.pages).toHaveLength(1);
    expect(JSON.parse(found?.pages[0]?.text ?? "")).toEqual(Array.from({ length: 500 }, (_, n) => entry(n + 1)));
  });

  test("grow from one attempt to the next", () => {
    const journals = new KeptJournals(1_000_000);
    add(journals, task(1), [entry(1), entry(2)]);
    journals.park(task(1));
    expect(entriesIn(journals, task(1), entry(2))).toHaveLength(2);
    add(journals, task(1), [entry(3)]);
    journals.park(task(1));
    expect(entriesIn(journals, task(1), entry(3))).toEqual([entry(1), entry(2), entry(3)]);
  });

  test("C16 are not trusted when the engine has another entry where they end", () => {
    const journals = new KeptJournals(1_000_000);
    add(journals, task(1), [entry(1), entry(2)]);
    journals.park(task(1));
    expect(entriesIn(journals, task(1), entry(2, 7))).toBeNull();
    expect(entriesIn(journals, task(1), entry(2)), "and are let go of").toBeNull();
    add(journals, task(1), [entry(1), entry(2), entry(3)]);
    journals.park(task(1));
    expect(entriesIn(journals, task(1), entry(2)), "nor when they are ahead of it").toBeNull();
  });

  test("are not used of an attempt that did not end by parking", () => {
    const journals = new KeptJournals(1_000_000);
    add(journals, task(1), [entry(1)]);
    expect(entriesIn(journals, task(1), entry(1))).toBeNull();
  });

  test("are let go of at a gap, and begun anew from the first entry", () => {
    const journals = new KeptJournals(1_000_000);
    add(journals, task(1), [entry(1)]);
    add(journals, task(1), [entry(3)]);
    add(journals, task(1), [entry(4)]);
    expect(journals.bytes).toBe(0);
    add(journals, task(1), [entry(1), entry(2)]);
    journals.park(task(1));
    expect(entriesIn(journals, task(1), entry(2))).toHaveLength(2);
  });

  test("bring the outputs that came apart from their entries", () => {
    const journals = new KeptJournals(1_000_000);
    add(journals, task(1), [entry(1)]);
    journals.addOutputs(task(1), { "a#1": { json: "1" } });
    journals.addOutputs(task(2), { "a#1": { json: "2" } });
    journals.park(task(1));
    expect(journals.find(task(1), kept(entry(1)))?.outputs).toEqual({ ["a#1" as CallKey]: { json: "1" } });
  });

  test("have a bound in bytes, beyond which those go that were added to longest ago", () => {
    const journals = new KeptJournals(100_000);
    for (let n = 1; n <= 100; n++) {
      add(journals, task(n), [entry(1), entry(2)]);
      if (n > 1) add(journals, task(1), [entry(n + 1)]);
      journals.addOutputs(task(n), { big: { json: "x".repeat(1_000) } });
      expect(journals.bytes).toBeLessThanOrEqual(100_000);
    }
    for (let n = 1; n <= 100; n++) journals.park(task(n));
    expect(entriesIn(journals, task(2), entry(2))).toBeNull();
    expect(entriesIn(journals, task(100), entry(2))).toHaveLength(2);
    for (let n = 1; n <= 100; n++) journals.forget(task(n));
    expect(journals.bytes).toBe(0);
    add(
      journals,
      task(1),
      Array.from({ length: 2_000 }, (_, n) => entry(n + 1)),
    );
    expect(journals.bytes).toBe(0);
  });
});
