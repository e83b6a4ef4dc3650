import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { sha256 } from "#shared/domain/ids.ts";
import type { Report } from "#shared/protocol/agent.ts";
import { systemClock } from "#shared/system.ts";
import { binaryOf, fakeProgram } from "../fakes/fake-program.ts";
import { isRunning } from "../fakes/is-running.ts";
import { openStand, type Stand } from "../fakes/stand.ts";

const program = fakeProgram();
let stand: Stand;
afterEach(() => stand?.close());

const outputOf = (report: Report | undefined): unknown => {
  if (report?.result.kind !== "done") throw new Error(`not done: ${JSON.stringify(report)}`);
  if (!("json" in report.result.output)) throw new Error("the output is a blob");
  return JSON.parse(report.result.output.json);
};
const failureOf = (report: Report | undefined) => {
  if (report === undefined || !("failure" in report.result)) throw new Error(`no failure: ${JSON.stringify(report)}`);
  return report.result.failure;
};

test("A task's output and refs go through its program and back", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const lease = coordinator.lease(program, "echo", { n: 7 }, { refs: { "a#1": { json: "3" } }, attempt: 2 });
  const [report] = await coordinator.settle(lease);
  expect(outputOf(report)).toEqual({
    input: { n: 7 },
    refs: { "a#1": { json: "3" } },
    attempt: 2,
    name: "echo",
    task: lease.task,
  });
});

test("C22 the outputs of many refs reach a program as one file, the blobs among them as files of their own", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const add = (value: object) => {
    const text = Buffer.from(JSON.stringify(value));
    return { blob: coordinator.add(text), bytes: text.length };
  };
  const inline = Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`a#${n}`, { json: String(n) }]));
  const plain = coordinator.lease(program, "manyRefs", null, { manyRefs: { ...add(inline), blobs: 0 } });
  const large = add({ text: "z".repeat(20_000) });
  const mixed = { ...inline, "b#1": large, "b#2": large };
  const withBlobs = coordinator.lease(program, "manyRefs", null, { manyRefs: { ...add(mixed), blobs: 2 } });
  const [first, second] = await coordinator.settle(plain, withBlobs);
  expect(outputOf(first)).toEqual({ count: 300, last: "299", files: [] });
  expect(outputOf(second)).toEqual({ count: 302, last: null, files: [20_011, 20_011] });
  const gone = { blob: sha256("gone"), bytes: 4, blobs: 0 };
  const [third] = await coordinator.settle(coordinator.lease(program, "manyRefs", null, { manyRefs: gone }));
  expect(third?.result).toMatchObject({ kind: "fail", failure: { type: "ValueUnavailable" } });
});

test("C19 warm tasks of one release share a process, also when hundreds are given at once", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const [first] = await coordinator.settle(coordinator.lease(program, "pid"));
  const leases = Array.from({ length: 300 }, () => coordinator.lease(program, "pid"));
  const reports = await coordinator.settle(...leases);
  expect(new Set(reports.map(outputOf))).toEqual(new Set([outputOf(first)]));
  expect(coordinator.reports()).toHaveLength(301);
});

test("C19 releases, policies and projects never share a process", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const leases = [
    coordinator.lease(program, "pid"),
    coordinator.lease(program, "pid", null, { release: "rel_2" }),
    coordinator.lease(program, "pid", null, { project: "other" }),
    coordinator.lease(program, "pid", null, { process: "fresh" }),
    coordinator.lease(program, "pid", null, { process: "fresh" }),
  ];
  const reports = await coordinator.settle(...leases);
  expect(new Set(reports.map(outputOf)).size).toBe(5);
});

test("C19 each task finds its work folder empty", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const reports = await coordinator.settle(...Array.from({ length: 30 }, () => coordinator.lease(program, "litter")));
  expect(reports.map(outputOf)).toEqual(Array(30).fill(false));
});

test("C19 a process is recycled after a failure", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const [before] = await coordinator.settle(coordinator.lease(program, "pid"));
  const [failed] = await coordinator.settle(coordinator.lease(program, "fail"));
  const [after] = await coordinator.settle(coordinator.lease(program, "pid"));
  expect(failureOf(failed)).toMatchObject({ type: "Broken", message: "it broke", retryable: true });
  expect(outputOf(after)).not.toBe(outputOf(before));
});

test("C19 what was taken ahead goes back when the task before it outlasts 100 ms, and credit shrinks first", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  await coordinator.settle(...Array.from({ length: 40 }, () => coordinator.lease(program, "noop")));
  const long = coordinator.lease(program, "wait", 700);
  const behind = Array.from({ length: 5 }, () => coordinator.lease(program, "pid"));
  const creditsBefore = coordinator.said("credit").length;
  coordinator.send({ t: "leases", leases: [long, ...behind] });
  await coordinator.until("all handed back", () => coordinator.handedBack(behind).length === 5);
  expect(coordinator.said("credit").slice(creditsBefore).at(-1)?.tasks).toBe(1);
  const at = (kind: string) => coordinator.frames.findLastIndex((frame) => frame.t === kind);
  expect(at("credit")).toBeLessThan(at("handback"));
  expect(outputOf(await coordinator.report(long))).toBe("waited");
  const [next] = await coordinator.settle(coordinator.lease(program, "echo", 1));
  expect(next?.result.kind).toBe("done");
  expect(coordinator.reports().filter((report) => behind.some(({ task }) => task === report.task))).toEqual([]);
});

test("C19 a withdrawal that a busy program cannot confirm costs the process, not the tasks", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  await coordinator.settle(...Array.from({ length: 40 }, () => coordinator.lease(program, "noop")));
  const file = join(stand.folder, "count");
  const spin = coordinator.lease(program, "spin", 400);
  const behind = [1, 2, 3].map(() => coordinator.lease(program, "count", file));
  coordinator.send({ t: "leases", leases: [spin, ...behind] });
  await coordinator.until("handback", () => coordinator.handedBack(behind).length === 3);
  expect(outputOf(await coordinator.report(spin))).toBe("spun");
  const again = behind.map((lease) => ({ ...lease, fence: lease.fence + 1_000 }));
  const reports = await coordinator.settle(...again);
  expect(reports.map((report) => report.result.kind)).toEqual(["done", "done", "done"]);
});

test("The environment is cleared but for what Salt sets and the agent was given", async () => {
  process.env.SALT_CANARY = "leak";
  stand = await openStand({ env: { EXTRA: "1" } });
  const { coordinator } = stand;
  const [report] = await coordinator.settle(coordinator.lease(program, "env"));
  const { env, cwd, folder } = outputOf(report) as { env: Record<string, string>; cwd: string; folder: string };
  const known = ["PATH", "LANG", "HOME", "TMPDIR", "SALT_SOCKET", "SALT_SESSION", "EXTRA"];
  // A shell adds these of its own accord.
  const shells = ["PWD", "OLDPWD", "SHLVL", "_"];
  expect(Object.keys(env).filter((key) => ![...known, ...shells].includes(key))).toEqual([]);
  expect(cwd).toBe(folder);
  expect(env.HOME).toBe(folder);
  delete process.env.SALT_CANARY;
});

test("A program that exits without answering is ProgramExited, with its status and last words", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const lease = coordinator.lease(program, "exit", 3);
  const [report] = await coordinator.settle(lease);
  expect(failureOf(report)).toMatchObject({ type: "ProgramExited", retryable: true });
  expect(failureOf(report).details).toEqual({ code: 3, signal: null, stderr: "last words" });
  expect(coordinator.output(lease, "stderr").bytes.toString()).toBe("last words\n");
  const [aborted] = await coordinator.settle(coordinator.lease(program, "abort"));
  expect(failureOf(aborted).details).toMatchObject({ signal: "SIGABRT" });
});

test("A program that exits before its hello fails the task that waits, and hands back those behind it", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const bad = binaryOf("process.stderr.write('cannot load\\n'); process.exit(9);");
  const [head, second] = [coordinator.lease(bad, "noop"), coordinator.lease(bad, "noop")];
  coordinator.send({ t: "leases", leases: [head, second] });
  const report = await coordinator.report(head);
  expect(failureOf(report)).toMatchObject({ type: "ProgramExited" });
  expect(failureOf(report).details).toMatchObject({ code: 9, stderr: "cannot load" });
  await coordinator.until("handback", () =>
    coordinator.said("handback").some((f) => f.leases[0]?.task === second.task),
  );
});

test("A binary that cannot be executed is ProgramExited too", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const bytes = Buffer.from("\u007fELF not really");
  const binary = { bytes, sha256: coordinator.add(bytes) };
  const [report] = await coordinator.settle(coordinator.lease(binary, "noop"));
  expect(failureOf(report)).toMatchObject({ type: "ProgramExited" });
});

test("A task that does not end in time is TimedOut, and its whole process group is ended", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const lease = coordinator.lease(program, "child", null, { attemptTimeoutMs: 400 });
  const [report] = await coordinator.settle(lease);
  expect(failureOf(report)).toMatchObject({ type: "TimedOut", retryable: true });
  const child = Number(/child (\d+)/.exec(coordinator.output(lease, "stdout").bytes.toString())?.[1]);
  await coordinator.until("the child to end", () => !isRunning(child));
});

test("Words that do not fit the task protocol are a ProtocolViolation, and lose nothing else", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  for (const name of ["garbage", "badFrame", "longLine", "callsOut"]) {
    const [report] = await coordinator.settle(coordinator.lease(program, name));
    expect(failureOf(report)).toMatchObject({ type: "ProtocolViolation", retryable: false });
  }
  const [report] = await coordinator.settle(coordinator.lease(program, "echo", 1));
  expect(report?.result.kind).toBe("done");
});

test("A second answer, and one for work that it does not have, change nothing and cost the program its process", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  for (const name of ["twice", "stray"]) {
    const [before] = await coordinator.settle(coordinator.lease(program, "pid"));
    const [report] = await coordinator.settle(coordinator.lease(program, name));
    expect(outputOf(report)).toBe(1);
    // The next task may have been handed to the process before it said too much.
    await vi.waitFor(async () => {
      const [after] = await coordinator.settle(coordinator.lease(program, "pid"));
      expect(outputOf(after)).not.toBe(outputOf(before));
    });
  }
});

test("A50 a task that ignores SIGTERM is ended by force after its grace", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const ready = join(stand.folder, "ready");
  const lease = coordinator.lease(program, "stubborn", ready);
  coordinator.send({ t: "leases", leases: [lease] });
  await coordinator.until("it to run", () => existsSync(ready));
  coordinator.send({ t: "stop", task: lease.task, fence: lease.fence, reason: "no longer needed", graceMs: 400 });
  const report = await coordinator.report(lease);
  expect(report.result.kind).toBe("cancelled");
  expect(failureOf(report).message).toContain("no longer needed");
  expect(failureOf(report).message).toContain("SIGKILL");
});

test("A51 a task that is told to stop is reported by what really happened", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const expected = { exitOnCancel: "cancelled", yieldOnCancel: "cancelled", finishOnCancel: "done" };
  for (const [name, kind] of Object.entries(expected)) {
    const lease = coordinator.lease(program, name);
    coordinator.send({ t: "leases", leases: [lease] });
    await coordinator.until("it to run", () =>
      coordinator.said("started").some((f) => f.leases[0]?.task === lease.task),
    );
    coordinator.send({ t: "stop", task: lease.task, fence: lease.fence, reason: "cancelled", graceMs: 2_000 });
    expect((await coordinator.report(lease)).result.kind).toBe(kind);
  }
});

test("A stop of a task that has not begun is a cancel at once", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const [running, waiting] = [coordinator.lease(program, "wait", 400), coordinator.lease(program, "count", "/nowhere")];
  coordinator.send({ t: "leases", leases: [running, waiting] });
  coordinator.send({ t: "stop", task: waiting.task, fence: waiting.fence, reason: "cancelled", graceMs: 5_000 });
  expect((await coordinator.report(waiting)).result.kind).toBe("cancelled");
  expect((await coordinator.report(running)).result.kind).toBe("done");
});

test("A stale attempt is ended, and nothing more is said of it", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const lease = coordinator.lease(program, "child");
  coordinator.send({ t: "leases", leases: [lease] });
  const child = await coordinator.until(
    "its child",
    () => /child (\d+)\n/.exec(coordinator.output(lease, "stdout").bytes.toString())?.[1],
  );
  coordinator.send({ t: "stale", leases: [{ task: lease.task, fence: lease.fence }] });
  await coordinator.until("its process to end", () => !isRunning(Number(child)));
  const [report] = await coordinator.settle({ ...lease, name: "noop", fence: lease.fence + 1 });
  expect(report?.result.kind).toBe("done");
  expect(coordinator.reports()).toHaveLength(1);
});

test("Large values travel as blobs and reach the program as files", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const text = JSON.stringify("v".repeat(50_000));
  const blob = coordinator.add(Buffer.from(text));
  const input = { blob, bytes: text.length };
  const [echoed] = await coordinator.settle(coordinator.lease(program, "echo", null, { input }));
  if (echoed?.result.kind !== "done" || !("blob" in echoed.result.output)) throw new Error("expected a blob");
  expect(coordinator.blobs.get(echoed.result.output.blob)?.toString()).toContain("vvvv");
  const [small, big] = await coordinator.settle(
    coordinator.lease(program, "big", 100),
    coordinator.lease(program, "big", 60_000),
  );
  expect(outputOf(small)).toBe("b".repeat(100));
  if (big?.result.kind !== "done" || !("blob" in big.result.output)) throw new Error("expected a blob");
  expect(coordinator.blobs.get(big.result.output.blob)).toHaveLength(60_002);
});

test("A file that an output names is stored before the output is reported, and only if it is what it is said to be", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const { sha256 } = binaryFile("file body");
  const [report] = await coordinator.settle(coordinator.lease(program, "file", sha256));
  expect(report?.result.kind).toBe("done");
  expect(coordinator.blobs.get(sha256)?.toString()).toBe("file body");
  const [wrong] = await coordinator.settle(coordinator.lease(program, "file", "0".repeat(64)));
  expect(failureOf(wrong)).toMatchObject({ type: "ProtocolViolation" });
});

const binaryFile = (text: string) => {
  const sha256 = execFileSync("sha256sum", { input: text, encoding: "utf8" }).slice(0, 64);
  return { sha256 };
};

test("A45 a value named through a link, a hard link, a FIFO or outside the work folder is refused", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const secret = join(stand.folder, "secret");
  writeFileSync(secret, "1");
  for (const name of ["link", "linkedFolder", "hardLink", "outside", "fifo"]) {
    const [report] = await coordinator.settle(coordinator.lease(program, name, secret));
    expect([name, failureOf(report).type]).toEqual([name, "ProtocolViolation"]);
  }
});

test("A blob is fetched for a program that asks, and a missing one is told as a failure", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const sha256 = coordinator.add(Buffer.from("the blob"));
  const [found] = await coordinator.settle(coordinator.lease(program, "fetch", sha256));
  expect(outputOf(found)).toBe("the blob");
  const [missing] = await coordinator.settle(coordinator.lease(program, "fetch", "1".repeat(64)));
  expect(outputOf(missing)).toMatchObject({ type: "ValueUnavailable" });
});

test("What a program emits and how far it is travel before its report", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const lease = coordinator.lease(program, "emit");
  await coordinator.settle(lease);
  expect(coordinator.said("emit")).toMatchObject([
    { task: lease.task, key: "e#1", name: "thing", value: { json: "1" } },
  ]);
  expect(coordinator.said("progress")).toMatchObject([{ task: lease.task, fraction: 0.5 }]);
  const at = (kind: string) => coordinator.frames.findIndex((frame) => frame.t === kind);
  expect(at("emit")).toBeLessThan(at("report"));
});

test("A program that never says hello is ProgramSilent", async () => {
  const hurried = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() * 60 };
  stand = await openStand({ clock: hurried });
  const { coordinator } = stand;
  const [report] = await coordinator.settle(coordinator.lease(binaryOf("setInterval(() => {}, 1000);"), "noop"));
  expect(failureOf(report)).toMatchObject({ type: "ProgramSilent", retryable: true });
});

test("C19 a queued task that its program will not begin goes back, uncounted", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  await coordinator.settle(...Array.from({ length: 40 }, () => coordinator.lease(program, "noop")));
  const [last, queued] = [coordinator.lease(program, "leave"), coordinator.lease(program, "noop")];
  coordinator.send({ t: "leases", leases: [last, queued] });
  expect(outputOf(await coordinator.report(last))).toBe("last");
  const handback = await coordinator.until("handback", () => coordinator.said("handback")[0]);
  expect(handback.leases).toEqual([{ task: queued.task, fence: queued.fence }]);
  const [again] = await coordinator.settle({ ...queued, fence: queued.fence + 1_000 });
  expect(again?.result.kind).toBe("done");
});

test("A program that emits faster than the coordinator takes is held back, and nothing of it is lost", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  coordinator.accepts = false;
  const lease = coordinator.lease(program, "emitMuch");
  coordinator.send({ t: "leases", leases: [lease] });
  await coordinator.until("the grant", () => coordinator.said("leased")[0]);
  expect(coordinator.said("emit").length).toBeLessThan(3_000);
  coordinator.accepts = true;
  coordinator.acceptAll();
  await coordinator.report(lease);
  expect(new Set(coordinator.said("emit").map(({ key }) => key)).size).toBe(3_000);
});
