import { afterEach, describe, expect, test } from "vitest";
import { type CallKey, sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { ProgramCall } from "#shared/protocol/task.ts";
import { call, type Ref, sleep, task, waitForSignal, workflow } from "../index.ts";
import { FakeJournal, FakeWork } from "../testing/fake-journal.ts";
import { createVirtualClock, type VirtualClock } from "../testing/virtual-clock.ts";

const noop = task({ name: "x-noop" }, (n: number) => n);
const other = task({ name: "x-other" }, (n: number) => n);

/** What two branches call depends on which of them is told first. */
workflow({ name: "x-branches" }, async () => {
  const early = noop(1);
  await noop(2);
  const first = (async () => other(await early))();
  const second = (async () => {
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    return other(0);
  })();
  return Promise.all([first, second]);
});
workflow({ name: "x-many" }, async (n: number) => {
  let last: Ref<number> | undefined;
  for (let i = 0; i < n; i++) last = noop(0);
  await last;
});
workflow({ name: "x-refs" }, (n: number) => noop(Array.from({ length: n }, () => noop(0)) as never));
workflow({ name: "x-leaked" }, () => noop(leaked as never));
workflow({ name: "x-leaks" }, async () => {
  leaked = noop(7);
  await sleep(1);
});
workflow({ name: "x-function" }, () => noop({ deep: [{ f: () => 1 }] } as never));
workflow({ name: "x-large" }, () => noop("x".repeat(limits.valueBytesMax) as never));
workflow({ name: "x-large-output" }, async () => "x".repeat(limits.valueBytesMax));
workflow({ name: "x-key" }, (key: string) => noop(1, { key }));
workflow({ name: "x-options" }, (options: object) => noop(1, options));
workflow({ name: "x-signal" }, (name: string) => waitForSignal(name));
workflow({ name: "x-named" }, (name: string) => call(name));
workflow({ name: "x-foreign-wait" }, async () => {
  await new Promise(() => {});
});
let leaked: unknown;

const works: FakeWork[] = [];
afterEach(() => {
  for (const work of works.splice(0)) work.cut();
});

function begin(
  name: string,
  options: { input?: unknown; journal?: FakeJournal; clock?: VirtualClock; replayEnd?: number } = {},
) {
  const { input = null, journal = new FakeJournal(), clock = createVirtualClock(), replayEnd = 0 } = options;
  const work = new FakeWork({ clock, journal, replayEnd, input, name });
  works.push(work);
  return { work, journal, clock };
}

/** Journals what was sent and settles it all in the order of the calls. */
async function serve({ work, journal, clock }: ReturnType<typeof begin>): Promise<void> {
  await clock.rest();
  for (const call of work.sent) {
    journal.call(call);
    journal.settle(call.key, { outcome: "succeeded", value: { json: "1" } });
  }
  work.accept();
  for (let round = 0; round < 3; round++) {
    work.give(journal.entries.length);
    await clock.rest();
    if (work.asked.length > 0) work.giveValues();
    await clock.rest();
  }
}

const failureOf = ({ work }: ReturnType<typeof begin>) => (work.end?.t === "fail" ? work.end.failure : work.end);

describe("WorkflowExecution", () => {
  test("C21 awaiting what has settled takes a rest, so that a fetched and a replayed output are told alike", async () => {
    const live = begin("x-branches");
    await serve(live);
    const keys = () => live.work.sent.slice(2).map(({ key, digest }) => [key, digest]);
    const replayed = begin("x-branches", { journal: live.journal, replayEnd: live.journal.entries.length });
    replayed.work.give(live.journal.entries.length);
    await replayed.clock.rest();
    expect(keys()).toHaveLength(2);
    expect(replayed.work.end).toBeNull();
    expect(replayed.work.sent.map(({ key, digest }) => [key, digest])).toEqual(keys());
  });

  test("C22 a workflow that took long to replay waits at least as long before it parks", async () => {
    const replayed = begin("x-branches", { replayEnd: 1 });
    await replayed.clock.pass(7_000);
    replayed.work.give(1);
    await replayed.clock.rest();
    replayed.work.accept();
    await replayed.clock.pass(6_999);
    expect(replayed.work.parks).toBe(0);
    await replayed.clock.pass(1);
    expect(replayed.work.parks).toBe(1);
  });

  test("C22 does not park while it waits for something that Salt knows nothing of", async () => {
    const started = begin("x-foreign-wait");
    await started.clock.pass(60_000);
    expect(started.work.parks).toBe(0);
  });

  test("C22 warns at 10,000 calls and fails with JournalTooLong, naming restart, beyond 50,000", async () => {
    const warned = begin("x-many", { input: limits.callsWarnAt });
    await warned.clock.rest();
    expect(warned.work.warnings).toEqual([expect.stringContaining("restart")]);
    expect(warned.work.sent).toHaveLength(limits.callsWarnAt);
    const failed = begin("x-many", { input: limits.callsMax + 1 });
    await failed.clock.rest();
    expect(failureOf(failed)).toMatchObject({
      type: "JournalTooLong",
      message: expect.stringContaining("restart(input)"),
    });
  });

  test("C22 lists up to 256 refs in the call, and more in a value of their own, under the same digest", async () => {
    const keys = (n: number) => Array.from({ length: n }, (_, index) => `x-noop#${index + 1}`);
    const few = begin("x-refs", { input: limits.refsInlineMax });
    await few.clock.rest();
    expect(few.work.sent.at(-1)).toMatchObject({ refs: keys(limits.refsInlineMax) });
    const many = begin("x-refs", { input: limits.refsInlineMax + 1 });
    await many.clock.rest();
    const call = many.work.sent.at(-1) as ProgramCall & { kind: "task" };
    expect(call.refs).toBeUndefined();
    expect(call.manyRefs).toEqual({ json: JSON.stringify(keys(limits.refsInlineMax + 1)) });
    const refs = keys(limits.refsInlineMax + 1).map((v) => ({ $salt: "ref", v }));
    expect(call.digest).toBe(sha256(JSON.stringify(refs)));
  });

  test("C22 takes as many refs in one argument as a run makes calls, in a file that is named, and replays them", async () => {
    const count = limits.callsMax - 1;
    const begun = begin("x-refs", { input: count });
    await begun.clock.rest();
    const call = begun.work.sent.at(-1) as ProgramCall & { kind: "task" };
    expect(call).toMatchObject({ manyRefs: { path: expect.any(String) }, input: { path: expect.any(String) } });
    begun.journal.call(call);
    const { journal } = begun;
    for (const sent of begun.work.sent) if (sent !== call) journal.call(sent);
    const replayed = begin("x-refs", { input: count, journal, replayEnd: journal.entries.length });
    replayed.work.give(journal.entries.length);
    await replayed.clock.rest();
    expect(replayed.work.sent).toEqual([]);
    expect(replayed.work.end).toBeNull();
  });

  test("C23 a ref is valid in its run alone", async () => {
    await serve(begin("x-leaks"));
    const stranger = begin("x-leaked");
    await stranger.clock.rest();
    expect(failureOf(stranger)).toMatchObject({
      message: expect.stringContaining("'x-noop#1' in its input is of another run"),
    });
  });

  test.each([
    ["x-function", null, { type: "UnencodableValue", message: expect.stringContaining("$.deep[0].f") }],
    ["x-large", null, { type: "TooLarge", message: expect.stringContaining("at most 67108864 (valueBytesMax)") }],
    [
      "x-large-output",
      null,
      { type: "OutputTooLarge", message: expect.stringContaining("at most 67108864 (valueBytesMax)") },
    ],
    ["x-options", { priority: 1_000 }, { type: "BadRequest", message: expect.stringContaining("priority") }],
    ["x-options", { retries: 3 }, { type: "BadRequest", message: expect.stringContaining("retries") }],
    ["x-signal", "no name", { type: "BadRequest", message: expect.stringContaining('"no name"') }],
    ["x-named", "a/b/c", { type: "BadRequest", message: expect.stringContaining('"a/b/c"') }],
    ["x-key", "a/b", { type: "BadRequest", message: expect.stringContaining('"a/b"') }],
    ["x-key", "@workflow", { type: "BadRequest", message: expect.stringContaining("not a valid key") }],
    ["x-key", "x".repeat(201), { type: "BadRequest", message: expect.stringContaining("not a valid key") }],
  ])("%s with %j fails by its name, not to be retried", async (name, input, failure) => {
    const started = begin(name, { input });
    await started.clock.rest();
    expect(failureOf(started)).toMatchObject({ ...failure, retryable: false });
  });

  test("T4 a journal with a gap fails the work", async () => {
    const started = begin("x-many", { input: 1 });
    started.journal.append({ e: "note", kind: "a" });
    started.work.given = 1;
    started.work.give(1);
    await started.clock.rest();
    expect(failureOf(started)).toMatchObject({ message: expect.stringContaining("gap") });
  });

  test("C15 a call that the journal shows counts as accepted", async () => {
    const started = begin("x-many", { input: 3 });
    await started.clock.rest();
    for (const call of started.work.sent.slice(0, 2)) started.journal.call(call);
    started.work.give(3);
    await started.clock.rest();
    expect(started.work.acceptedCalls).toBe(2);
    expect(started.work.sent.map(({ key }) => key)).toEqual(["x-noop#1", "x-noop#2", "x-noop#3"] as CallKey[]);
  });
});
