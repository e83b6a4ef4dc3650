import { Ansis } from "ansis";
import { describe, expect, it } from "vitest";
import type { CallKey } from "#shared/domain/ids.ts";
import type { JournalRow, LogRow, ProgressEvent } from "#shared/protocol/api.ts";
import { LogLines } from "./log-lines.ts";
import { RunProgress } from "./run-progress.ts";
import { taskTable } from "./task-table.ts";

const row = (position: number, fields: Partial<JournalRow> & { e: string }): JournalRow => ({
  position,
  atMs: position,
  ...fields,
});
const view = { width: 80, height: 20, nowMs: 100, colours: new Ansis(0) };

function progressOf(rows: readonly (Partial<JournalRow> & { e: string })[]): RunProgress {
  const progress = new RunProgress();
  rows.forEach((fields, index) => {
    progress.take(row(index + 1, fields));
  });
  return progress;
}

describe("a run's progress, from its journal alone,", () => {
  const wait = (key: string) => ({ e: "called", key, kind: "signal", name: "go" });

  it("gives each wait for a signal the arrival that it takes, also one that came early", () => {
    const progress = progressOf([
      wait("signal:go#1"),
      { e: "signal", name: "go" },
      { e: "signal", name: "go" },
      wait("signal:go#2"),
      wait("signal:go#3"),
    ]);
    expect(progress.calls.map((call) => call.state)).toEqual(["succeeded", "succeeded", "open"]);
  });

  it("passes an arrival on from a wait that timed out to the next", () => {
    const timedOut = { e: "settled", key: "signal:go#1", outcome: "timedOut" };
    const progress = progressOf([wait("signal:go#1"), timedOut, { e: "signal", name: "go" }, wait("signal:go#2")]);
    expect(progress.calls.map((call) => call.state)).toEqual(["timedOut", "succeeded"]);
  });

  it("passes over kinds of entries that it does not know", () => {
    expect(progressOf([{ e: "note" }, { e: "settled", key: "unheard#1" }]).calls).toEqual([]);
  });
});

describe("the live table", () => {
  const said = (key: string, fraction: number | null, message: string | null): ProgressEvent => ({
    key: key as CallKey,
    fraction,
    message,
    atMs: 50,
  });
  const called = (name: string, n: number) => ({ e: "called", key: `${name}#${n}`, kind: "task", name });

  it("has a line for each call while they fit, with attempts that failed", () => {
    const progress = progressOf([
      { e: "opened" },
      called("score", 1),
      { e: "retried", key: "score#1", attempt: 1, delayMs: 5 },
    ]);
    expect(taskTable("shop/invoice", progress, view)).toEqual([
      "CALL     STATE      TIME",
      "score#1  retrying  98 ms  failed 1×",
      "running  shop/invoice  0 of 1 calls  99 ms",
    ]);
  });

  it("shows how far a running call says that it is, until its attempt has ended", () => {
    const progress = progressOf([{ e: "opened" }, called("score", 1), called("load", 1)]);
    progress.say(said("score#1", 0.4, "half\x1b[2J\nof it"));
    progress.say(said("load#1", null, "asking"));
    progress.say(said("unheard#1", 1, null));
    expect(taskTable("x", progress, view).slice(1, 3)).toEqual([
      "score#1  running  98 ms    ███░░░░░ 40 %  half of it",
      "load#1   running  97 ms    asking",
    ]);
    progress.take(row(4, { e: "retried", key: "score#1", attempt: 1, delayMs: 5 }));
    expect(progress.calls[0]).toMatchObject({ state: "retrying", said: null });
    progress.say(said("score#1", 0, null));
    expect(taskTable("x", progress, view)[1]).toBe("score#1  running  98 ms  failed 1×  ░░░░░░░░ 0 %");
    progress.take(row(5, { e: "settled", key: "score#1", outcome: "succeeded" }));
    progress.say(said("score#1", 0.5, "late"));
    expect(progress.calls[0]).toMatchObject({ state: "succeeded", said: null });
  });

  it("shows a call that does not begin as waiting, and for what, until it says something or ends", () => {
    const progress = progressOf([{ e: "opened" }, called("score", 1)]);
    progress.wait("score#1", "no connected agent serves pool 'gpu'");
    progress.wait("unheard#1", "nothing");
    expect(taskTable("x", progress, view)[1]).toBe("score#1  waiting  98 ms    no connected agent serves pool 'gpu'");
    progress.say(said("score#1", 0.5, null));
    expect(taskTable("x", progress, view)[1]).toBe("score#1  running  98 ms    ████░░░░ 50 %");
    progress.take(row(3, { e: "settled", key: "score#1", outcome: "succeeded" }));
    progress.wait("score#1", "late");
    expect(progress.calls[0]).toMatchObject({ state: "succeeded", waits: null });
  });

  it("shows no call as running once the run has ended", () => {
    const cancelled = progressOf([{ e: "opened" }, called("score", 1), { e: "ended", state: "cancelled" }]);
    cancelled.say(said("score#1", 0.5, null));
    expect(taskTable("x", cancelled, view)[1]).toBe("score#1  cancelled  98 ms");
    const failed = progressOf([{ e: "opened" }, called("score", 1), { e: "ended", state: "failed" }]);
    expect(taskTable("x", failed, view)[1]).toBe("score#1  left open  98 ms");
  });

  it("has a line for each name when there are many calls, and never more lines than there is room for", () => {
    const many = Array.from({ length: 1_000 }, (_, n) => called("score", n + 1));
    const settled = Array.from({ length: 250 }, (_, n) => ({
      e: "settled",
      key: `score#${n + 1}`,
      outcome: n < 3 ? "failed" : "succeeded",
    }));
    const lines = taskTable("shop/invoice", progressOf([{ e: "opened" }, ...many, ...settled]), view);
    expect(lines[1]).toMatch(/^score {2}█{4}░{12} {2}250 of 1000 {2}3 failed/);
    const names = Array.from({ length: 500 }, (_, n) => called(`task${n}`, 1));
    expect(taskTable("x", progressOf(names), view).length).toBeLessThanOrEqual(20);
  });
});

describe("log lines", () => {
  const chunk = (fields: Partial<LogRow>): LogRow => ({
    position: 1,
    key: "a#1",
    fence: 1,
    stream: "stdout",
    offset: 0,
    atMs: 1,
    ...fields,
  });
  const texts = (lines: LogLines, row: LogRow) => lines.take(row).map((line) => line.text);

  it("A44 are put together from chunks that end within a line or a character, of each stream apart", () => {
    const lines = new LogLines();
    const bytes = Buffer.from("é!\n");
    expect(texts(lines, chunk({ text: "one\ntw" }))).toEqual(["one"]);
    expect(texts(lines, chunk({ stream: "stderr", text: "err\n" }))).toEqual(["err"]);
    expect(texts(lines, chunk({ base64: bytes.subarray(0, 1).toString("base64") }))).toEqual([]);
    expect(texts(lines, chunk({ base64: bytes.subarray(1).toString("base64") }))).toEqual(["twé!"]);
    expect(texts(lines, chunk({ text: "rest" }))).toEqual([]);
    expect(lines.flush().map((line) => line.text)).toEqual(["rest"]);
  });

  it("A44 of endless length are cut, and a log that was cut says so", () => {
    const lines = new LogLines();
    expect(texts(lines, chunk({ text: "x".repeat(100_000) })).map((line) => line.length)).toEqual(
      Array(6).fill(16_384),
    );
    expect(texts(lines, chunk({ text: "", cut: true }))).toEqual(["[the log was cut here, at its limit]"]);
  });
});
