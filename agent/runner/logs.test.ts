import { afterEach, expect, test } from "vitest";
import { fakeProgram } from "../fakes/fake-program.ts";
import { openStand, type Stand } from "../fakes/stand.ts";

const program = fakeProgram();
let stand: Stand;
afterEach(() => stand?.close());

test("Each task's output is its own, and all of it is there before its report", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const leases = Array.from({ length: 40 }, (_, n) => coordinator.lease(program, "print", n));
  const reports = await coordinator.settle(...leases);
  for (const [n, report] of reports.entries()) {
    expect(coordinator.output(report, "stdout").bytes.toString()).toBe(`out ${n}\n`);
    expect(coordinator.output(report, "stderr").bytes.toString()).toBe("err\n");
    const isOf = ({ task, fence }: { task: string; fence: number }) => task === report.task && fence === report.fence;
    const lastChunk = coordinator.frames.findLastIndex((frame) => frame.t === "logs" && frame.chunks.some(isOf));
    expect(lastChunk).toBeLessThan(
      coordinator.frames.findIndex((frame) => frame.t === "report" && frame.reports.some(isOf)),
    );
  }
});

test("Output is streamed while the task runs", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const lease = coordinator.lease(program, "printSlowly");
  coordinator.send({ t: "leases", leases: [lease] });
  await coordinator.until("the first line", () => coordinator.output(lease, "stdout").bytes.toString() === "first\n");
  expect(coordinator.reports()).toEqual([]);
  await coordinator.report(lease);
  expect(coordinator.output(lease, "stdout").bytes.toString()).toBe("first\nsecond\n");
});

test("A44 what is not UTF-8 arrives byte for byte, and characters are not torn", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const torn = Buffer.concat([Buffer.from("ü€😀".repeat(20_000)), Buffer.from([0xf0, 0x9f])]);
  const ansi = Buffer.from("\u001b]0;title\u0007\u001b[31mred");
  const long = Buffer.alloc(300_000, "x");
  const broken = Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x41]);
  for (const bytes of [torn, ansi, long, broken]) {
    const text = Buffer.from(JSON.stringify(bytes.toString("base64")));
    const input = { blob: coordinator.add(text), bytes: text.length };
    const lease = coordinator.lease(program, "printBytes", null, { input });
    await coordinator.settle(lease);
    expect(coordinator.output(lease, "stdout").bytes.equals(bytes)).toBe(true);
    const chunks = coordinator.said("logs").flatMap((f) => f.chunks.filter((chunk) => chunk.task === lease.task));
    for (const chunk of chunks) expect(Buffer.byteLength(chunk.text ?? "")).toBeLessThanOrEqual(32 * 1024);
    if (bytes === torn) expect(chunks.filter((chunk) => chunk.base64 !== undefined)).toHaveLength(1);
  }
});

test("A43 output beyond the cap of a task is cut, once, and the cut is told", async () => {
  stand = await openStand({}, { logBytesPerTaskMax: 100_000 });
  const { coordinator } = stand;
  const lease = coordinator.lease(program, "printMuch", 3_000_000);
  const [report] = await coordinator.settle(lease);
  expect(report?.result.kind).toBe("done");
  const { bytes, cut } = coordinator.output(lease, "stdout");
  expect([bytes.length, cut]).toEqual([100_000, true]);
  const after = coordinator.lease(program, "print", "next");
  await coordinator.settle(after);
  expect(coordinator.output(after, "stdout").bytes.toString()).toBe('out "next"\n');
});

test("A43 a flood ends in LogLimitExceeded, with bounded memory and renewals on time", async () => {
  stand = await openStand({}, { logBytesPerTaskMax: 100_000, leaseTtlMs: 600 });
  const { coordinator } = stand;
  const before = process.memoryUsage().rss;
  const lease = coordinator.lease(program, "flood");
  const [report] = await coordinator.settle(lease);
  expect(report?.result).toMatchObject({ kind: "fail", failure: { type: "LogLimitExceeded", retryable: false } });
  expect(coordinator.output(lease, "stdout")).toMatchObject({ cut: true });
  expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
});

test("Output waits in the program's files while the coordinator takes nothing, and the report waits for it", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const [warm] = [coordinator.lease(program, "noop")];
  await coordinator.settle(warm);
  coordinator.accepts = false;
  const lease = coordinator.lease(program, "printMuch", 3_000_000);
  coordinator.send({ t: "leases", leases: [lease] });
  const sent = () => coordinator.output(lease, "stdout").bytes.length;
  await coordinator.until("the window to fill", () => sent() >= 1024 * 1024);
  await coordinator.until("nothing more", () => coordinator.said("leased").length > 0);
  expect(sent()).toBeLessThan(1.2 * 1024 * 1024);
  expect(coordinator.reports().filter(({ task }) => task === lease.task)).toEqual([]);
  coordinator.accepts = true;
  coordinator.acceptAll();
  await coordinator.report(lease);
  expect(sent()).toBe(Math.ceil(3_000_000 / 65_536) * 65_536);
});
