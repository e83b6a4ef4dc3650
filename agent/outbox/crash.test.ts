import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { limits } from "#shared/domain/limits.ts";
import { systemClock } from "#shared/system.ts";
import { FakeCoordinator } from "../fakes/fake-coordinator.ts";
import { binaryOf, fakeProgram } from "../fakes/fake-program.ts";
import { isRunning } from "../fakes/is-running.ts";

const program = fakeProgram();
const quitter = fakeProgram({ salt: "quitter" });
let coordinator: FakeCoordinator;
let folder: string;
let agent: ChildProcess;

/** An agent in a process of its own, to be killed. */
function startAgent(): ChildProcess {
  const main = new URL("../main.ts", import.meta.url).pathname;
  const logger = "{ debug() {}, info() {}, warn() {}, error(...words) { console.error(...words); } }";
  const options = JSON.stringify({
    url: coordinator.url,
    token: "secret",
    dataFolder: join(folder, "agent"),
    slots: 1,
  });
  const source = `import { startAgent } from ${JSON.stringify(main)};
    await startAgent({ ...${options}, logger: ${logger} });`;
  return spawn(process.execPath, ["--input-type=module", "-e", source], { stdio: ["ignore", "ignore", "inherit"] });
}

const kill = (): Promise<void> =>
  new Promise((resolve) => {
    agent.once("exit", () => resolve());
    agent.kill("SIGKILL");
  });

beforeEach(async () => {
  coordinator = new FakeCoordinator();
  await coordinator.open();
  folder = mkdtempSync(join(tmpdir(), "salt-crash-test-"));
  agent = startAgent();
  await coordinator.until("credit", () => coordinator.said("credit")[0]);
});

afterEach(async () => {
  await kill();
  for (const name of readdirSync(join(folder, "agent", "processes"))) {
    try {
      const identity = JSON.parse(readFileSync(join(folder, "agent", "processes", name, "identity.json"), "utf8"));
      process.kill(-identity.pid, "SIGKILL");
    } catch {
      // It has ended.
    }
  }
  rmSync(readFileSync(join(folder, "agent", "sockets"), "utf8"), { recursive: true, force: true });
  await coordinator.close();
  rmSync(folder, { recursive: true, force: true });
});

test("C18 A20 a task goes on while its agent is killed and started again, is executed once, and no output is lost", async () => {
  const file = join(folder, "count");
  const lease = coordinator.lease(program, "slowCount", { file, ms: 1_500 });
  coordinator.send({ t: "leases", leases: [lease] });
  await coordinator.until("its first words", () => coordinator.output(lease, "stdout").bytes.length > 0);
  await kill();
  agent = startAgent();
  const hello = await coordinator.until("the second hello", () => coordinator.said("hello")[1]);
  expect(hello.leases).toEqual([{ task: lease.task, fence: lease.fence }]);
  expect((await coordinator.report(lease)).result.kind).toBe("done");
  expect(readFileSync(file, "utf8")).toBe(`${lease.task}\n`);
  expect(coordinator.output(lease, "stdout").bytes.toString()).toBe("working\nworked\n");
});

test("C18 A21 a task that answered while its agent was away is reported, and its process serves on", async () => {
  const file = join(folder, "count");
  const lease = coordinator.lease(program, "slowCount", { file, ms: 300 });
  coordinator.send({ t: "leases", leases: [lease] });
  await coordinator.until("its first words", () => coordinator.output(lease, "stdout").bytes.length > 0);
  await kill();
  await new Promise((resolve) => setTimeout(resolve, 500));
  agent = startAgent();
  expect((await coordinator.report(lease)).result.kind).toBe("done");
  const [next] = await coordinator.settle(coordinator.lease(program, "noop"));
  expect(next?.result.kind).toBe("done");
  expect(readdirSync(join(folder, "agent", "processes"))).toHaveLength(1);
});

test("C17 an attempt that must not outlast its lease ends at its time although its agent was killed, and the next finds no coordinator", async () => {
  const leaseTtlMs = 3_000;
  coordinator.leaseTtlMs = leaseTtlMs;
  coordinator.cut();
  await coordinator.until("the second hello", () => coordinator.said("hello")[1]);
  // This program does not know of its time.
  const lease = coordinator.lease(program, "wait", 100_000, { onLeaseLost: "stop" });
  coordinator.send({ t: "leases", leases: [lease] });
  await coordinator.until("a second renewal", () => coordinator.said("renew")[1]);
  const [name = ""] = readdirSync(join(folder, "agent", "processes"));
  const identity = JSON.parse(readFileSync(join(folder, "agent", "processes", name, "identity.json"), "utf8"));
  await new Promise((resolve) => setTimeout(resolve, 100));
  await kill();
  const sent = coordinator.said("renew").map(({ at = 0 }) => at);
  const { port } = coordinator;
  await coordinator.close();
  agent = startAgent();
  await coordinator.until("its end", () => !isRunning(identity.pid));
  const endedMs = systemClock.monotonicMs();
  expect(endedMs - (sent[1] ?? 0)).toBeGreaterThan(leaseTtlMs);
  expect(endedMs - (sent.at(-1) ?? 0)).toBeLessThan(leaseTtlMs + limits.leaseLostMarginMs);
  coordinator.port = port;
  await coordinator.open();
  expect((await coordinator.report(lease)).result.kind).toBe("lost");
}, 20_000);

test("C19 what a process printed before its agent was killed is not taken for the next task's, though the notes of it were lost", async () => {
  await coordinator.settle(coordinator.lease(program, "print", "before"));
  // Its answer has been accepted, so that it knows of nothing any more.
  await new Promise((resolve) => setTimeout(resolve, 500));
  await kill();
  loseNotes();
  agent = startAgent();
  await coordinator.until("the second hello", () => coordinator.said("hello")[1]);
  const [report] = await coordinator.settle(coordinator.lease(program, "print", "next"));
  expect(report && coordinator.output(report, "stdout").bytes.toString()).toBe('out "next"\n');
});

test("C19 nor for that of the task that it is at: this is lost", async () => {
  await coordinator.settle(coordinator.lease(program, "print", "before"));
  const lease = coordinator.lease(program, "wait", 100_000);
  coordinator.send({ t: "leases", leases: [lease] });
  await coordinator.until("it started", () => coordinator.said("started")[0]);
  await kill();
  loseNotes();
  agent = startAgent();
  const { result } = await coordinator.report(lease);
  expect(result.kind).toBe("lost");
  expect(coordinator.output(lease, "stdout").bytes.toString()).toBe("");
});

test("C19 A23 nor is, after a reboot, the rest of what it printed for the task's before: notes are not synced", async () => {
  coordinator.accepts = false;
  const before = coordinator.lease(program, "print", "before");
  await coordinator.settle(before);
  const lease = coordinator.lease(program, "slowCount", { file: join(folder, "count"), ms: 100_000 });
  coordinator.send({ t: "leases", leases: [lease] });
  await coordinator.until("its first words", () => coordinator.output(lease, "stdout").bytes.length > 0);
  const [name = ""] = readdirSync(join(folder, "agent", "processes"));
  await kill();
  loseNotes();
  const file = join(folder, "agent", "processes", name, "identity.json");
  const identity = JSON.parse(readFileSync(file, "utf8"));
  process.kill(-identity.pid, "SIGKILL");
  writeFileSync(file, JSON.stringify({ ...identity, bootId: "00000000-0000-4000-8000-000000000000" }));
  agent = startAgent();
  await coordinator.until("what became of it", () => coordinator.reports()[1]);
  expect(coordinator.output(before, "stdout").bytes.toString()).toBe('out "before"\n');
});

/** Of the agent's notes those of what processes were given are left, as where the disk was full afterwards. */
function loseNotes(): void {
  const notes = join(folder, "agent", "attempts");
  const given = readFileSync(notes, "utf8")
    .split("\n")
    .filter((line) => line.startsWith('{"j":"given"'));
  writeFileSync(notes, `${given.join("\n")}\n`);
}

test("C18 A21 a program that ended while its agent was away is settled from its exit file", async () => {
  const lease = coordinator.lease(quitter, "wait", 100_000);
  coordinator.send({ t: "leases", leases: [lease] });
  await coordinator.until("it to run", () => coordinator.said("started")[0]);
  const [name] = readdirSync(join(folder, "agent", "processes"));
  await kill();
  const identity = JSON.parse(readFileSync(join(folder, "agent", "processes", name ?? "", "identity.json"), "utf8"));
  // The program is the wrapper's child; it ends alone, so that the wrapper sees how.
  const children = readFileSync(`/proc/${identity.pid}/task/${identity.pid}/children`, "utf8").trim();
  process.kill(Number(children), "SIGKILL");
  agent = startAgent();
  const report = await coordinator.report(lease);
  expect(report.result).toMatchObject({
    kind: "fail",
    failure: { type: "ProgramExited", details: { signal: "SIGKILL" } },
  });
});

test("C18 A22 of a process that is gone without a trace the attempt is lost, and a stranger with its number is left alone", async () => {
  const lease = coordinator.lease(program, "wait", 100_000);
  coordinator.send({ t: "leases", leases: [lease] });
  await coordinator.until("it to run", () => coordinator.said("started")[0]);
  const [name = ""] = readdirSync(join(folder, "agent", "processes"));
  await kill();
  const file = join(folder, "agent", "processes", name, "identity.json");
  const identity = JSON.parse(readFileSync(file, "utf8"));
  process.kill(-identity.pid, "SIGKILL");
  const stranger = spawn("/bin/sleep", ["60"], { detached: true, stdio: "ignore" });
  writeFileSync(file, JSON.stringify({ ...identity, pid: stranger.pid }));
  agent = startAgent();
  const report = await coordinator.report(lease);
  expect(report.result).toMatchObject({ kind: "lost", failure: { type: "AgentLost", retryable: true } });
  expect(stranger.exitCode).toBeNull();
  expect(stranger.signalCode).toBeNull();
  stranger.kill("SIGKILL");
});

test("A23 after a reboot of its machine an attempt is lost, and whatever has its process's number now is left alone", async () => {
  const lease = coordinator.lease(program, "wait", 100_000);
  coordinator.send({ t: "leases", leases: [lease] });
  await coordinator.until("it to run", () => coordinator.said("started")[0]);
  const [name = ""] = readdirSync(join(folder, "agent", "processes"));
  await kill();
  const file = join(folder, "agent", "processes", name, "identity.json");
  const identity = JSON.parse(readFileSync(file, "utf8"));
  // As it would stand there when the same number and start time came about under another boot.
  writeFileSync(file, JSON.stringify({ ...identity, bootId: "00000000-0000-4000-8000-000000000000" }));
  agent = startAgent();
  const report = await coordinator.report(lease);
  expect(report.result).toMatchObject({ kind: "lost", failure: { type: "AgentLost", retryable: true } });
  // Throws when there is none.
  process.kill(-identity.pid, 0);
  process.kill(-identity.pid, "SIGKILL");
});

test("C15 a report whose program is gone survives kill -9 of the agent, on disk until it is accepted", async () => {
  coordinator.accepts = false;
  const lease = coordinator.lease(quitter, "exit", 4);
  await coordinator.settle(lease);
  const outbox = () => readdirSync(join(folder, "agent", "outbox")).filter((name) => name.endsWith(".json"));
  await coordinator.until("the report on disk", () => outbox().length === 1);
  await kill();
  agent = startAgent();
  const hello = await coordinator.until("the second hello", () => coordinator.said("hello")[1]);
  expect(hello.leases).toEqual([{ task: lease.task, fence: lease.fence }]);
  const again = await coordinator.until("the report again", () => coordinator.reports()[1]);
  expect(again.result).toMatchObject({ kind: "fail", failure: { type: "ProgramExited", details: { code: 4 } } });
  expect(coordinator.output(lease, "stderr").bytes.toString()).toBe("last words\n");
  coordinator.acceptAll();
  await coordinator.until("an empty outbox", () => outbox().length === 0);
});

test("C15 with no coordinator for a second an answer is made durable, and its program may forget it", async () => {
  const lease = coordinator.lease(program, "wait", 300);
  coordinator.send({ t: "leases", leases: [lease] });
  await coordinator.until("it to run", () => coordinator.said("started")[0]);
  await coordinator.close();
  const outbox = () => readdirSync(join(folder, "agent", "outbox")).filter((name) => name.endsWith(".json"));
  await coordinator.until("the report on disk", () => outbox().length === 1);
  await kill();
  for (const name of readdirSync(join(folder, "agent", "processes"))) {
    const file = join(folder, "agent", "processes", name, "identity.json");
    process.kill(-JSON.parse(readFileSync(file, "utf8")).pid, "SIGKILL");
  }
  await coordinator.open();
  agent = startAgent();
  expect((await coordinator.report(lease)).result).toMatchObject({ kind: "done" });
  await coordinator.until("an empty outbox", () => outbox().length === 0);
});

test("C18 a stranger that dials a process's socket is turned away", async () => {
  const [report] = await coordinator.settle(
    coordinator.lease(
      binaryOf(`
        import { createConnection } from "node:net";
        const bad = createConnection(process.env.SALT_SOCKET);
        bad.on("connect", () => bad.write(JSON.stringify({ t: "hello", protocol: 1, sdk: "x", session: "guess", pid: 1, argsId: null, working: [] }) + "\\n"));
        bad.on("error", () => {});
        bad.on("close", () => { process.stderr.write("turned away\\n"); process.exit(5); });
      `),
      "noop",
    ),
  );
  expect(report?.result).toMatchObject({ kind: "fail", failure: { details: { code: 5, stderr: "turned away" } } });
});
