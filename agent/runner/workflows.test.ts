import { afterEach, expect, test } from "vitest";
import type { Sha256 } from "#shared/domain/ids.ts";
import type { Lease, Report } from "#shared/protocol/agent.ts";
import type { Call, Entry } from "#shared/protocol/common.ts";
import { entryMark } from "#shared/protocol/entry-mark.ts";
import { systemClock } from "#shared/system.ts";
import { fakeProgram } from "../fakes/fake-program.ts";
import { openStand, type Stand } from "../fakes/stand.ts";

const program = fakeProgram();
let stand: Stand;
afterEach(() => stand?.close());

const call = (key: string, json = "1"): Call =>
  ({ key, digest: "0".repeat(64), kind: "task", name: "score", input: { json } }) as Call;
const called = (p: number, key: string): Entry =>
  ({ p, at: p, e: "called", key, kind: "task", name: "score", digest: "0".repeat(64) }) as Entry;
const settled = (p: number, key: string, value?: object): Entry =>
  ({ p, at: p, e: "settled", key, outcome: "succeeded", ...(value === undefined ? {} : { value }) }) as Entry;

/** What the program was told, which it gives back as its output. */
function framesIn({ result }: Report): { t: string; entries?: Entry[] }[] {
  if (result.kind !== "done" || !("json" in result.output)) throw new Error("no output");
  return JSON.parse(result.output.json);
}
const positionsIn = (report: Report) => framesIn(report).flatMap(({ entries = [] }) => entries.map(({ p }) => p));

test("Calls are passed on in order, in frames that fit, large inputs stored before", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const text = JSON.stringify([call("a#1"), call("b#1")]);
  const many = Array.from({ length: 900 }, (_, n) => call(`c#${n}`, JSON.stringify("y".repeat(1_000))));
  const blob = Buffer.from(JSON.stringify(many));
  const small = coordinator.flow(program, "calls", null, { input: { json: text } });
  const large = coordinator.flow(program, "calls", null, {
    input: { blob: coordinator.add(blob), bytes: blob.length },
  });
  const stored = coordinator.flow(program, "big");
  coordinator.send({ t: "leases", leases: [small, large, stored] });
  const callsOf = (task: string) =>
    coordinator
      .said("calls")
      .filter((f) => f.task === task)
      .flatMap((f) => f.calls);
  await coordinator.until("all calls", () => callsOf(large.task).length === 900 && callsOf(stored.task).length === 2);
  expect(callsOf(small.task).map(({ key }) => key)).toEqual(["a#1", "b#1"]);
  expect(callsOf(large.task).map(({ key }) => key)).toEqual(many.map(({ key }) => key));
  const [first, second] = callsOf(stored.task);
  expect(second).toMatchObject({ key: "b#1", input: { json: "1" } });
  if (first === undefined || !("input" in first) || !("blob" in first.input)) throw new Error("expected a blob");
  expect(coordinator.blobs.get(first.input.blob)).toHaveLength(20_002);
  // Those of one workflow: nothing is said about the order of several.
  const wait = await coordinator.until("the await", () => coordinator.said("await")[0]);
  const ofIts = coordinator.frames.flatMap((frame) => ("task" in frame && frame.task === wait.task ? [frame.t] : []));
  expect(ofIts.indexOf("await")).toBeGreaterThan(ofIts.lastIndexOf("calls"));
});

test("C22 a workflow that wakes here is given what is kept of its journal, and asks for it where it is not", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const blob = Buffer.from(JSON.stringify("k".repeat(20_000)));
  const first = coordinator.flow(program, "waits");
  coordinator.send({ t: "leases", leases: [first] });
  const entries = [called(1, "a#1"), settled(2, "a#1", { json: "1" }), called(3, "b#1")];
  const late = settled(4, "b#1", { blob: coordinator.add(blob), bytes: blob.length });
  const send = ({ task, fence }: Lease, some: Entry[]) =>
    coordinator.send({ t: "settled", task, fence, entries: some });
  send(first, entries);
  send(first, [late]);
  coordinator.send(
    { t: "values", task: first.task, fence: first.fence, values: { "a#1": { json: '"asked for"' } } },
    { t: "parked", task: first.task, fence: first.fence },
  );

  const kept = { p: 4, mark: entryMark(late) };
  const second = { ...first, fence: first.fence + 1, kept, journalEnd: 5 };
  coordinator.send({ t: "leases", leases: [second] });
  send(second, [settled(5, "c#1", { json: '"finish"' })]);
  const report = await coordinator.report(second);
  expect(report.given).toBe(5);
  expect(framesIn(report).map(({ t }) => t)).toEqual(["values", "settled", "settled"]);
  expect(positionsIn(report)).toEqual([1, 2, 3, 4, 5]);
  expect(JSON.stringify(framesIn(report))).toContain('"path"');
  expect(coordinator.said("lacks")).toEqual([]);

  const third = { ...first, fence: first.fence + 2, kept, journalEnd: 5 };
  coordinator.send({ t: "leases", leases: [third] });
  await coordinator.until("the lack", () => coordinator.said("lacks")[0]);
  // What was on its way when the coordinator had not heard of it yet is passed over.
  send(third, [settled(5, "c#1", { json: '"finish"' })]);
  send(third, [...entries, late, settled(5, "c#1", { json: '"finish"' })]);
  expect(positionsIn(await coordinator.report(third))).toEqual([1, 2, 3, 4, 5]);
});

test("One warm process hosts many workflows, up to 64", async () => {
  stand = await openStand({ workflowSlots: 200 });
  const { coordinator } = stand;
  const leases = Array.from({ length: 70 }, () => coordinator.flow(program, "waits"));
  coordinator.send({ t: "leases", leases });
  await coordinator.until("all started", () => coordinator.said("started").flatMap((f) => f.leases).length === 70);
  for (const { task, fence } of leases) {
    coordinator.send({ t: "settled", task, fence, entries: [settled(1, "a#1", { json: '"finish"' })] });
  }
  for (const lease of leases) expect((await coordinator.report(lease)).given).toBe(1);
});

test("Entries reach the program once each and in order, large values as files, also when said again", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const lease = coordinator.flow(program, "waits");
  const { task, fence } = lease;
  const blob = Buffer.from(JSON.stringify("L".repeat(20_000)));
  const value = { blob: coordinator.add(blob), bytes: blob.length };
  coordinator.send(
    { t: "leases", leases: [lease] },
    { t: "settled", task, fence, entries: [called(1, "a#1"), settled(2, "a#1", value)] },
    { t: "settled", task, fence, entries: [called(1, "a#1"), settled(2, "a#1", value), called(3, "b#1")] },
    { t: "values", task, fence, values: { "b#1": { json: '"later"' } } },
    { t: "settled", task, fence, entries: [settled(4, "b#1", { json: '"finish"' })] },
  );
  const report = await coordinator.report(lease);
  expect(report).toMatchObject({ given: 4, result: { kind: "done" } });
  const output = report.result.kind === "done" && "json" in report.result.output ? report.result.output.json : "[]";
  const frames = JSON.parse(output) as { t: string; entries?: { p: number; value?: { path?: string } }[] }[];
  expect(frames.map((frame) => frame.t)).toEqual(["settled", "settled", "values", "settled"]);
  const entries = frames.flatMap((frame) => frame.entries ?? []);
  expect(entries.map((entry) => entry.p)).toEqual([1, 2, 3, 4]);
  expect(entries[1]?.value).toMatchObject({ path: expect.any(String), bytes: 20_002 });
});

test("A gap in the journal gives the workflow back, to begin anew", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const lease = coordinator.flow(program, "waits");
  const { task, fence } = lease;
  coordinator.send({ t: "leases", leases: [lease] }, { t: "settled", task, fence, entries: [called(2, "a#1")] });
  const handback = await coordinator.until("handback", () => coordinator.said("handback")[0]);
  expect(handback.leases).toEqual([{ task, fence }]);
});

test("A workflow that waits is parked, its program forgets it and serves on", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const lease = coordinator.flow(program, "parks");
  const { task, fence } = lease;
  coordinator.send({ t: "leases", leases: [lease] });
  const park = await coordinator.until("the park", () => coordinator.said("park")[0]);
  expect(park).toEqual({ t: "park", task, fence, given: 0, awaiting: ["a#1"] });
  coordinator.cut();
  await coordinator.until("the park again", () => coordinator.said("park")[1]);
  coordinator.send({ t: "parked", task, fence });
  const next = coordinator.flow(program, "stops");
  await coordinator.settle(next);
  coordinator.cut();
  const hello = await coordinator.until("a hello", () => coordinator.said("hello")[2]);
  expect(hello.leases).toEqual([]);
});

test("C20 a workflow that takes the last slot is told to park soon", async () => {
  stand = await openStand({ workflowSlots: 2 });
  const { coordinator } = stand;
  const [first, last] = [coordinator.flow(program, "waits"), coordinator.flow(program, "stops")];
  coordinator.send({ t: "leases", leases: [first] });
  await coordinator.until("it to run", () => coordinator.said("started")[0]);
  const [crowded] = await coordinator.settle(last);
  expect(crowded?.result).toMatchObject({ output: { json: "10" } });
});

test("A workflow that goes on as a new run is reported as a restart", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const [report] = await coordinator.settle(coordinator.flow(program, "restarts"));
  expect(report).toMatchObject({ given: 0, result: { kind: "restart", input: { json: "2" } } });
});

test("C14 hello names the position that each workflow has been given", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const lease = coordinator.flow(program, "waits");
  const { task, fence } = lease;
  coordinator.send({ t: "leases", leases: [lease] }, { t: "settled", task, fence, entries: [called(1, "a#1")] });
  await coordinator.until("it to run", () => coordinator.said("started")[0]);
  coordinator.cut();
  const hello = await coordinator.until("a hello", () => coordinator.said("hello")[1]);
  expect(hello.leases).toEqual([{ task, fence, given: 1 }]);
});

test("A workflow stopped by force takes its neighbours' process, not their attempts", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const [one, other] = [coordinator.flow(program, "waits"), coordinator.flow(program, "waits")];
  coordinator.send({ t: "leases", leases: [one, other] });
  await coordinator.until("both to run", () => coordinator.said("started").flatMap((f) => f.leases).length === 2);
  coordinator.send({ t: "stop", task: one.task, fence: one.fence, reason: "out of time", graceMs: 100 });
  expect((await coordinator.report(one)).result.kind).toBe("cancelled");
  const handback = await coordinator.until("handback", () => coordinator.said("handback")[0]);
  expect(handback.leases).toEqual([{ task: other.task, fence: other.fence }]);
});

test("A stale workflow is forgotten by its program, and its neighbours go on", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const [one, other] = [coordinator.flow(program, "waits"), coordinator.flow(program, "waits")];
  coordinator.send(
    { t: "leases", leases: [one, other] },
    { t: "stale", leases: [{ task: one.task, fence: one.fence }] },
  );
  const entries = [settled(1, "a#1", { json: '"finish"' })];
  for (const { task, fence } of [one, other]) coordinator.send({ t: "settled", task, fence, entries });
  expect((await coordinator.report(other)).result.kind).toBe("done");
  expect(coordinator.reports()).toHaveLength(1);
});

test("C11 an attempt that several of its values cannot be brought for is reported once", async () => {
  stand = await openStand({}, { accepts: false });
  const { coordinator } = stand;
  const missing = (digit: string) => ({ blob: digit.repeat(64) as Sha256, bytes: 20_000 });
  let release: () => void = () => undefined;
  const first = new Promise<void>((resolve) => {
    release = resolve;
  });
  // The entry's value is found to be missing after the input's, when the attempt has its result.
  coordinator.serveBlob = (_request, response, sha256) => {
    if (sha256 !== missing("b").blob) return false;
    void first.then(() => response.writeHead(404).end());
    return true;
  };
  const lease = coordinator.flow(program, "waits", null, { input: missing("a") });
  const { task, fence } = lease;
  const entries = [called(1, "a#1"), settled(2, "a#1", missing("b"))];
  coordinator.send({ t: "leases", leases: [lease] }, { t: "settled", task, fence, entries });
  expect((await coordinator.report(lease)).result).toMatchObject({ kind: "fail" });
  release();
  await coordinator.settle(coordinator.flow(program, "waits", null, { input: missing("c") }));
  expect(coordinator.reports().filter((report) => report.task === task)).toHaveLength(1);
});

test("C11 an attempt that fails while it waits for a process is not given to it any more", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  // The binary is here, so that nothing is waited for but the process.
  await coordinator.settle(coordinator.lease(program, "noop"));
  const lost = coordinator.flow(program, "waits");
  const { task, fence } = lost;
  const missing = { blob: "d".repeat(64) as Sha256, bytes: 20_000 };
  coordinator.send({ t: "leases", leases: [lost] });
  coordinator.send({ t: "settled", task, fence, entries: [called(1, "a#1"), settled(2, "a#1", missing)] });
  expect((await coordinator.report(lost)).result).toMatchObject({ kind: "fail" });
  const next = coordinator.flow(program, "waits");
  coordinator.send({ t: "leases", leases: [next] });
  const entries = [settled(1, "a#1", { json: '"finish"' })];
  coordinator.send({ t: "settled", task: next.task, fence: next.fence, entries });
  expect((await coordinator.report(next)).result).toMatchObject({ kind: "done" });
  expect(coordinator.reports().filter((report) => report.task === task)).toHaveLength(1);
});

test("C15 what a workflow asks for is asked for again when no answer comes, although the connection lives", async () => {
  // Twenty times as fast as the machine's.
  const clock = { ...systemClock, monotonicMs: () => 20 * systemClock.monotonicMs() };
  stand = await openStand({ clock });
  const { coordinator } = stand;
  const lease = coordinator.flow(program, "big");
  coordinator.send({ t: "leases", leases: [lease] });
  await coordinator.until("the first await", () => coordinator.said("await").length === 1);
  await coordinator.until("the next", () => coordinator.said("await").length === 2);
  const [first, second] = coordinator.said("await");
  expect(second).toEqual(first);
});
