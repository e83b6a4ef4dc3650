import { expect, it } from "vitest";
import type { CallKey, Sha256 } from "#shared/domain/ids.ts";
import type { JournalRecord } from "../records.ts";
import { unreadSignals } from "./unread-signals.ts";

const wait = (key: string): JournalRecord => ({
  e: "called",
  key: key as CallKey,
  kind: "signal",
  name: "go",
  digest: "" as Sha256,
});
const timedOut = (key: string): JournalRecord => ({ e: "settled", key: key as CallKey, outcome: "timedOut" });
const signal = (id: string, name = "go"): JournalRecord => ({ e: "signal", id, name, value: { json: id }, by: "test" });
const idsOf = (journal: JournalRecord[]) => unreadSignals(journal).map(({ id }) => id);

it("C23 leaves what arrived beyond what was waited for, in the order of arrival", () => {
  expect(idsOf([signal("1"), wait("a"), signal("2"), signal("3", "other"), wait("b"), signal("4")])).toEqual([
    "3",
    "4",
  ]);
});

it("C24 lets a wait that timed out take nothing", () => {
  expect(idsOf([wait("a"), timedOut("a"), signal("1")])).toEqual(["1"]);
  expect(idsOf([wait("a"), timedOut("a"), wait("b"), signal("1")])).toEqual([]);
});

it("takes no notice of a time-out that came after the signal", () => {
  expect(idsOf([wait("a"), signal("1"), timedOut("a"), signal("2")])).toEqual(["2"]);
});
