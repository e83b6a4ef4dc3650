import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { limits } from "#shared/domain/limits.ts";
import { systemClock } from "#shared/system.ts";
import { fakeProgram } from "../fakes/fake-program.ts";
import { isRunning } from "../fakes/is-running.ts";
import { openStand, type Stand } from "../fakes/stand.ts";

const program = fakeProgram();
let stand: Stand;
afterEach(() => stand?.close());

const strict = { onLeaseLost: "stop" } as const;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test("C17 an attempt that must not outlast its lease begins once a renewal has been accepted, its time counted from the sending, and no other waits for it", async () => {
  stand = await openStand({}, { renewsAfterMs: null });
  const { coordinator, folder } = stand;
  const file = join(folder, "count");
  const lease = coordinator.lease(program, "count", file, strict);
  const other = coordinator.lease(program, "noop");
  coordinator.send({ t: "leases", leases: [lease, other] });
  const renewal = await coordinator.until("a renewal", () => coordinator.said("renew")[0]);
  expect(renewal.leases).toEqual([{ task: lease.task, fence: lease.fence }]);
  await coordinator.report(other);
  await pause(100);
  expect(existsSync(file)).toBe(false);
  const at = renewal.at ?? 0;
  coordinator.send({ t: "renewed", leases: renewal.leases, at });
  const untilMs = JSON.stringify(at + coordinator.leaseTtlMs);
  expect((await coordinator.report(lease)).result).toMatchObject({ kind: "done", output: { json: untilMs } });
});

test("C17 it ends with all its processes a time to live after the last accepted renewal was sent, and is reported as lost", async () => {
  const leaseTtlMs = 1_500;
  stand = await openStand({}, { leaseTtlMs, renewsAfterMs: 300 });
  const { coordinator } = stand;
  const lease = coordinator.lease(program, "child", null, strict);
  coordinator.send({ t: "leases", leases: [lease] });
  const said = () =>
    coordinator
      .output(lease, "stdout")
      .bytes.toString()
      .match(/child (\d+)/);
  const child = Number((await coordinator.until("the child", said))[1]);
  await pause(2 * leaseTtlMs);
  expect(isRunning(child), "renewals that are accepted keep it").toBe(true);
  coordinator.renewsAfterMs = null;
  const last = coordinator.said("renew").at(-1)?.at ?? 0;
  await coordinator.until("its end", () => !isRunning(child));
  const sinceLastMs = systemClock.monotonicMs() - last;
  expect(sinceLastMs).toBeGreaterThan(leaseTtlMs);
  expect(sinceLastMs).toBeLessThan(leaseTtlMs + limits.leaseLostMarginMs);
  const report = await coordinator.report(lease);
  expect(report.result).toMatchObject({ kind: "lost", failure: { type: "AgentLost", retryable: true } });
});

test("C17 it ends without a coordinator too; one that may outlast its lease goes on, and its late answer is reported", async () => {
  const leaseTtlMs = 900;
  stand = await openStand({ slots: 2 }, { leaseTtlMs });
  const { coordinator } = stand;
  const lease = coordinator.lease(program, "wait", 2_000, { ...strict, process: "fresh" });
  const lenient = coordinator.lease(program, "wait", 2_000, { process: "fresh" });
  coordinator.send({ t: "leases", leases: [lease, lenient] });
  await coordinator.until(
    "both started",
    () => coordinator.said("started").flatMap(({ leases }) => leases).length === 2,
  );
  const { port } = coordinator;
  await coordinator.close();
  await pause(1_500);
  coordinator.port = port;
  await coordinator.open();
  expect((await coordinator.report(lease)).result.kind).toBe("lost");
  expect((await coordinator.report(lenient)).result.kind).toBe("done");
});

test("C17 of one that has not begun when its lease may be over, nothing is begun: it is handed back", async () => {
  const leaseTtlMs = 600;
  stand = await openStand({}, { leaseTtlMs });
  const { coordinator, folder } = stand;
  const file = join(folder, "count");
  const long = coordinator.lease(program, "wait", 1_500);
  coordinator.send({ t: "leases", leases: [long] });
  await coordinator.until("it started", () => coordinator.said("started")[0]);
  const behind = coordinator.lease(program, "count", file, strict);
  coordinator.send({ t: "leases", leases: [behind] });
  await coordinator.until("its renewal", () =>
    coordinator.said("renew").some(({ leases }) => leases[0]?.task === behind.task),
  );
  coordinator.renewsAfterMs = null;
  await coordinator.until("it is back", () => coordinator.handedBack([behind]).length === 1);
  await coordinator.report(long);
  await pause(100);
  expect(existsSync(file)).toBe(false);
});

test("C17 a grant of which no renewal is accepted in time is handed back, though there is room for it", async () => {
  const clock = { ...systemClock, monotonicMs: () => 10 * systemClock.monotonicMs() };
  stand = await openStand({ clock }, { renewsAfterMs: null });
  const { coordinator } = stand;
  const lease = coordinator.lease(program, "noop", null, strict);
  coordinator.send({ t: "leases", leases: [lease] });
  await coordinator.until("it is back", () => coordinator.handedBack([lease]).length === 1);
});
