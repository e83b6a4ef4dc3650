import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { systemRandom } from "#shared/system.ts";
import { FakeCoordinator } from "../fakes/fake-coordinator.ts";
import { fakeProgram } from "../fakes/fake-program.ts";
import { openStand, type Stand, silentLogger } from "../fakes/stand.ts";
import { startAgent } from "../main.ts";

const program = fakeProgram();
let stand: Stand | null = null;
afterEach(async () => {
  await stand?.close();
  stand = null;
});

test("C14 a lost connection stops nothing: the agent dials again, says what it holds, and reports", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const lease = coordinator.lease(program, "wait", 500);
  coordinator.send({ t: "leases", leases: [lease] });
  await coordinator.until("it to run", () => coordinator.said("started")[0]);
  coordinator.cut();
  const hello = await coordinator.until("the second hello", () => coordinator.said("hello")[1]);
  expect(hello.leases).toEqual([{ task: lease.task, fence: lease.fence }]);
  expect((await coordinator.report(lease)).result.kind).toBe("done");
});

test("C14 a lease that a welcome calls stale is ended, and its report dropped", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const [lease] = [coordinator.lease(program, "wait", 300)];
  coordinator.send({ t: "leases", leases: [lease] });
  await coordinator.until("it to run", () => coordinator.said("started")[0]);
  coordinator.verdict = () => "stale";
  coordinator.cut();
  await coordinator.until(
    "credit anew",
    () => coordinator.said("credit").length >= 2 && coordinator.said("hello").length === 2,
  );
  const [after] = await coordinator.settle(coordinator.lease(program, "wait", 400));
  expect(after?.result.kind).toBe("done");
  expect(coordinator.reports()).toHaveLength(1);
});

test("C15 what was not accepted is said again over the next connection, and the living program keeps it until then", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  coordinator.accepts = false;
  const lease = coordinator.lease(program, "emit");
  await coordinator.settle(lease);
  coordinator.cut();
  await coordinator.until("the report again", () => coordinator.reports().length === 2);
  expect(coordinator.said("emit")).toHaveLength(2);
  const hellos = coordinator.said("hello");
  expect(hellos[1]?.leases).toEqual([{ task: lease.task, fence: lease.fence }]);
  coordinator.acceptAll();
  coordinator.accepts = true;
  await coordinator.settle(coordinator.lease(program, "noop"));
  coordinator.cut();
  await coordinator.until("the third hello", () => coordinator.said("hello").length === 3);
  expect(coordinator.said("hello")[2]?.leases).toEqual([]);
});

test("C12 a grant that is not reported soon is accepted, renewed at a third of its time to live, and not after its end", async () => {
  stand = await openStand({}, { leaseTtlMs: 600 });
  const { coordinator } = stand;
  const lease = coordinator.lease(program, "wait", 2_000);
  await coordinator.settle(lease);
  const names = [{ task: lease.task, fence: lease.fence }];
  expect(coordinator.said("leased")).toEqual([{ t: "leased", leases: names }]);
  expect(coordinator.said("started")).toEqual([{ t: "started", leases: names }]);
  const renewals = coordinator.said("renew").length;
  expect(renewals).toBeGreaterThanOrEqual(3);
  await coordinator.settle(coordinator.lease(program, "wait", 500));
  expect(coordinator.said("renew").filter((f) => f.leases.some(({ task }) => task === lease.task))).toHaveLength(
    renewals,
  );
});

test("C14 a coordinator that lives is not left, however little it says", async () => {
  stand = await openStand({}, { leaseTtlMs: 300 });
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  expect(stand.coordinator.said("hello")).toHaveLength(1);
});

test("C12 short tasks are reported without further words", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  await coordinator.settle(coordinator.lease(program, "noop"));
  await coordinator.settle(...Array.from({ length: 20 }, () => coordinator.lease(program, "noop")));
  const after = coordinator.frames.slice(coordinator.frames.findIndex((frame) => frame.t === "report"));
  expect(new Set(after.map((frame) => frame.t))).toEqual(new Set(["report", "credit"]));
});

test("A malformed frame ends the connection, and the agent dials again", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  for (const [n, text] of ["not json", '{"t":"drain"}', '[{"t":"leases","leases":[{}]}]', "[[[[1]]]]"].entries()) {
    coordinator.socket?.send(text);
    await coordinator.until("the next hello", () => coordinator.said("hello").length === n + 2);
  }
  const [report] = await coordinator.settle(coordinator.lease(program, "noop"));
  expect(report?.result.kind).toBe("done");
});

test("A token that the coordinator does not know ends the agent with an error that says so", async () => {
  const coordinator = new FakeCoordinator({ token: "another" });
  await coordinator.open();
  const folder = mkdtempSync(join(tmpdir(), "salt-agent-test-"));
  const options = { url: coordinator.url, token: "secret", dataFolder: join(folder, "agent"), logger: silentLogger };
  const agent = await startAgent(options);
  await expect(agent.closed).rejects.toMatchObject({ code: "NotAuthenticated" });
  expect(agent.state).toBe("closed");
  await coordinator.close();
  rmSync(folder, { recursive: true });
});

test("A coordinator that refuses the agent ends it with its reason", async () => {
  stand = await openStand();
  const { closed } = stand.agent;
  stand.coordinator.send({ t: "refused", code: "BadFrame", message: "version 0.1.0 is too old" });
  await expect(closed).rejects.toThrow("version 0.1.0 is too old");
});

test("A29 a drained agent takes nothing new, gives back what has not begun, finishes, and says bye", async () => {
  stand = await openStand();
  const { coordinator, agent } = stand;
  const [running, waiting] = [coordinator.lease(program, "wait", 400), coordinator.lease(program, "noop")];
  coordinator.send({ t: "leases", leases: [running, waiting] });
  await coordinator.until("it to run", () => coordinator.said("started")[0]);
  await agent.drain();
  expect((await coordinator.report(running)).result.kind).toBe("done");
  expect(coordinator.said("handback").flatMap((frame) => frame.leases)).toEqual([
    { task: waiting.task, fence: waiting.fence },
  ]);
  expect(coordinator.said("credit").at(-1)).toEqual({ t: "credit", tasks: 0, workflows: 0 });
  expect(coordinator.frames.at(-1)?.t).toBe("bye");
  expect(agent.state).toBe("closed");
});

test("A29 a drain has a bound, after which what still runs is killed and left to its lease", async () => {
  stand = await openStand({ drainMs: 300 });
  const { coordinator, agent } = stand;
  const lease = coordinator.lease(program, "never");
  coordinator.send({ t: "leases", leases: [lease] });
  await coordinator.until("it to run", () => coordinator.said("started")[0]);
  await agent.drain();
  expect(coordinator.reports()).toEqual([]);
  expect(coordinator.frames.at(-1)?.t).toBe("bye");
});

test("A binary that cannot be had is BinaryUnavailable, one that does not fit NoSpace, and neither stops other tasks", async () => {
  stand = await openStand({ cacheBytesMax: program.bytes.length + 100 });
  const { coordinator } = stand;
  const other = fakeProgram({ salt: "x".repeat(1_000) });
  const missing = coordinator.lease(fakeProgram({ salt: "gone" }), "noop", null, { binaryBytes: 10 });
  coordinator.blobs.delete(missing.binary);
  const [gone, large, fine] = await coordinator.settle(
    missing,
    coordinator.lease(other, "noop"),
    coordinator.lease(program, "noop"),
  );
  expect(gone?.result).toMatchObject({ kind: "fail", failure: { type: "BinaryUnavailable", retryable: true } });
  expect(large?.result).toMatchObject({ kind: "fail", failure: { type: "NoSpace", retryable: true } });
  expect(fine?.result.kind).toBe("done");
});

test("A25 a coordinator that has fallen silent is noticed within two intervals, and dialled again", async () => {
  stand = await openStand({}, { leaseTtlMs: 600 });
  const { coordinator } = stand;
  coordinator.socket?.pause();
  await coordinator.until("the second hello", () => coordinator.said("hello")[1], 3_000);
  const [report] = await coordinator.settle(coordinator.lease(program, "noop"));
  expect(report?.result.kind).toBe("done");
});

test("C14 an agent of several coordinators leaves one that stops for the next, at once and with what it holds", async () => {
  const second = new FakeCoordinator();
  await second.open();
  stand = await openStand();
  const { coordinator } = stand;
  await stand.agent.close();
  coordinator.frames.length = 0;
  await stand.restart({
    url: `${coordinator.url}, ${second.url}`,
    random: { float: () => 0, bytes: systemRandom.bytes },
  });
  await coordinator.until("credit", () => coordinator.said("credit")[0]);
  const lease = coordinator.lease(program, "wait", 400);
  second.add(program);
  coordinator.send({ t: "leases", leases: [lease] });
  await coordinator.until("it to run", () => coordinator.said("started")[0]);
  const startedAtMs = performance.now();
  coordinator.socket?.close(1012, "the coordinator is stopping");
  const hello = await second.until("its hello", () => second.said("hello")[0]);
  expect(performance.now() - startedAtMs).toBeLessThan(1_000);
  expect(hello.leases).toEqual([{ task: lease.task, fence: lease.fence }]);
  expect((await second.report(lease)).result.kind).toBe("done");
  expect(coordinator.reports()).toEqual([]);
  await second.close();
});

test("C14 an agent of several coordinators passes over one that is down", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  await stand.agent.close();
  coordinator.frames.length = 0;
  const agent = await stand.restart({ url: `http://127.0.0.1:1,${coordinator.url}` });
  await coordinator.until("credit", () => coordinator.said("credit")[0]);
  expect(agent.state).toBe("connected");
});
