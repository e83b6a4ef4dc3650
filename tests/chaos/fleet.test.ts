import { cpSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Client, createClient } from "#cli/client.ts";
import { RedisEngine } from "#coordinator/engine/redis/redis-engine.ts";
import type { RunId } from "#shared/domain/ids.ts";
import type { LogRow, TaskView } from "#shared/protocol/api.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { journalOf, wrongCounts } from "../simulation/recount.ts";
import { buildJourneys, livingPrograms, registerJourneys, seededRandom, until } from "../support/journeys.ts";
import { type Member, missingForFleet, type SaltFleet, startFleet } from "../support/start-fleet.ts";
import { runUnderFire } from "../support/wave-under-fire.ts";

const leaseTtlMs = 3_000;

describe.skipIf(missingForFleet() !== null)("a fleet", () => {
  let fleet: SaltFleet;
  let restarted = 0;
  /** Each talks to one coordinator alone. */
  let clients: readonly Client[];

  beforeAll(async () => {
    const manifest = await buildJourneys();
    fleet = await startFleet({ coordinators: 3, agents: 2, slots: 2, flags: ["--lease-ttl", `${leaseTtlMs}ms`] });
    await registerJourneys(fleet, manifest);
    clients = fleet.lines.map(({ target }) => {
      const url = { value: `http://127.0.0.1:${target}`, origin: "test" };
      return createClient({ url, token: { value: fleet.token, origin: "test" } });
    });
  }, 180_000);
  afterAll(() => fleet?.close());

  const printing = (lines: number, everyMs: number) =>
    fleet.open("journeys/single", { name: "prints", input: { lines, everyMs } });

  const printsOf = async (run: string): Promise<TaskView | null> =>
    await fleet.client.call("getTask", { params: { run, key: "prints#1" as never } }).catch(() => null);

  const running = (run: string): Promise<void> =>
    until("it runs", async () => (await printsOf(run))?.status === "running", 30_000);

  const agentOf = async (run: string): Promise<Member> => {
    const name = (await printsOf(run))?.agentName;
    return fleet.agents.find((agent) => agent.name === name) as Member;
  };

  const linesOf = async (run: string): Promise<string[]> => {
    const rows: LogRow[] = [];
    for (;;) {
      const query = { after: rows.at(-1)?.position ?? 0, limit: 500 };
      const page = await fleet.client.call("readLogs", { params: { run }, query });
      if (page.rows.length === 0) break;
      rows.push(...page.rows);
    }
    const text = rows.filter(({ stream }) => stream === "stdout").map(({ text: said = "" }) => said);
    return text.join("").split("\n");
  };

  const numbered = (count: number) => [...Array.from({ length: count }, (_, line) => `line ${line}`), "the end"];

  test("C10 a run that is opened at one coordinator is signalled, watched and cancelled at others", async () => {
    const [first, second, third] = clients as [Client, Client, Client];
    const { id } = await first.call("openRun", {
      body: { project: "journeys", workflow: "collect", input: { count: 2 } },
    });
    const params = { run: id, name: "say" };
    await second.call("signalRun", { params, body: { value: 1 }, headers: { "idempotency-key": "one" } });
    await until("the signal is in the journal", async () => {
      const { rows } = await third.call("readJournal", { params: { run: id }, query: { after: 0, limit: 100 } });
      return rows.some(({ e }) => e === "signal");
    });
    await third.call("cancelRun", { params: { run: id }, body: { reason: "enough" } });
    expect(await fleet.settled(id)).toMatchObject({ status: "cancelled" });
  }, 60_000);

  test("A2 logs that are streamed while one coordinator after another is killed have no gap and no line twice", async () => {
    const { id } = await printing(400, 10);
    await running(id);
    for (const coordinator of fleet.coordinators) {
      await coordinator.process().stop("SIGKILL");
      await coordinator.start();
    }
    expect(await fleet.settled(id)).toMatchObject({ status: "succeeded" });
    await until("all of it is there", async () => (await linesOf(id)).length > 400);
    expect(await linesOf(id)).toEqual(numbered(400));
    expect((await printsOf(id))?.attempts).toHaveLength(1);
  }, 90_000);

  test("A25 a task whose agent loses its link for less than its lease lives is not executed again", async () => {
    const { id } = await printing(300, 10);
    await running(id);
    for (const line of fleet.lines) line.cut(leaseTtlMs / 3);
    expect(await fleet.settled(id)).toMatchObject({ status: "succeeded" });
    expect((await printsOf(id))?.attempts).toHaveLength(1);
    await until("all of it is there", async () => (await linesOf(id)).length > 300);
    expect(await linesOf(id)).toEqual(numbered(300));
  }, 60_000);

  test("A19 an agent whose task floods it with output renews its leases all the same", async () => {
    const bytes = 200 * 1024 * 1024;
    const flood = await fleet.open("journeys/single", { name: "floods", input: { bytes } });
    const { id } = await printing(Math.ceil((leaseTtlMs * 2) / 20), 20);
    expect(await fleet.settled(flood.id, undefined, 60_000)).toMatchObject({ status: "succeeded" });
    expect(await fleet.settled(id, undefined, 60_000)).toMatchObject({ status: "succeeded" });
    const flooded = await fleet.client.call("getTask", { params: { run: flood.id, key: "floods#1" as never } });
    expect([flooded.attempts.length, (await printsOf(id))?.attempts.length]).toEqual([1, 1]);
  }, 90_000);

  test("C12 a lost agent's task runs elsewhere within its lease's time to live and two seconds", async () => {
    const { id } = await printing(3_000, 10);
    await running(id);
    const lost = await agentOf(id);
    await lost.process().stop("SIGKILL");
    const lostAtMs = performance.now();
    for (const { pid } of livingPrograms({ folder: fleet.folder })) process.kill(-pid, "SIGKILL");
    await until("it runs elsewhere", async () => {
      const task = await printsOf(id);
      return task?.status === "running" && task.agentName !== lost.name;
    });
    const tookMs = performance.now() - lostAtMs;
    console.info(`  ran elsewhere after ${Math.round(tookMs)} ms, of leases of ${leaseTtlMs} ms`);
    expect(tookMs).toBeLessThan(leaseTtlMs + 2_000);
    await lost.start();
    await fleet.client.call("cancelRun", { params: { run: id }, body: { reason: "seen enough" } });
    await fleet.settled(id);
  }, 60_000);

  test("C14 A29 a rolling restart of the coordinators loses no lease: no task is executed twice", async () => {
    const { executions } = await runUnderFire(fleet, {
      random: seededRandom("rolling restart"),
      kills: 3,
      paceMs: 40,
      async kill() {
        const coordinator = fleet.coordinators[restarted % fleet.coordinators.length] as Member;
        restarted += 1;
        expect(await coordinator.process().stop("SIGTERM"), "it ends as it was asked to").toBe(0);
        await coordinator.start();
        return `nothing, but restarted ${coordinator.name}`;
      },
    });
    expect(executions).toBe(1_000);
  }, 90_000);

  test("a fleet whose Redis was restored from a copy goes on from there", async () => {
    const { id } = await fleet.open("journeys/collect", { count: 1 });
    await until(
      "it waits",
      async () => (await fleet.client.call("getRun", { params: { run: id } })).counts.calls === 1,
    );
    const [from, to] = [path.join(fleet.redis.folder, "appendonlydir"), path.join(fleet.folder, "backup")];
    await fleet.redis.command("CONFIG", "SET", "auto-aof-rewrite-percentage", "0");
    cpSync(from, to, { recursive: true });
    const later = await fleet.open("journeys/collect", { count: 1 });
    await fleet.redis.kill();
    rmSync(from, { recursive: true });
    cpSync(to, from, { recursive: true });
    await fleet.redis.start();
    await until("coordinators answer", async () => {
      const body = { value: "after" };
      const headers = { "idempotency-key": "after the restore" };
      const sent = fleet.client.call("signalRun", { params: { run: id, name: "say" }, body, headers });
      return await sent.then(
        () => true,
        () => false,
      );
    });
    expect(await fleet.settled(id)).toMatchObject({ status: "succeeded" });
    const gone = fleet.client.call("getRun", { params: { run: later.id } });
    await expect(gone, "what came after the copy is forgotten").rejects.toMatchObject({ code: "NotFound" });
  }, 60_000);

  test("A6 a Redis whose last writes are cut off in the middle goes on, and what it has fits together", async () => {
    const { id } = await fleet.open("journeys/wave", { first: 400, steps: 20, paceMs: 5 });
    await until("it is under way", async () => {
      const run = await fleet.client.call("getRun", { params: { run: id } });
      return run.counts.succeeded > 100;
    });
    await fleet.redis.kill();
    cutTail(path.join(fleet.redis.folder, "appendonlydir"), 300);
    await fleet.redis.start();
    expect(await fleet.settled(id, undefined, 60_000)).toMatchObject({ status: "succeeded" });
    const engine = new RedisEngine({ url: fleet.redis.url, clock: systemClock, random: systemRandom });
    try {
      await engine.connect();
      const run = id as RunId;
      expect(await wrongCounts(engine, run, await journalOf(engine, run))).toEqual([]);
    } finally {
      await engine.close();
    }
  }, 120_000);
});

/** Cuts bytes off the newest file of what Redis appended. */
function cutTail(folder: string, bytes: number): void {
  const [newest] = readdirSync(folder)
    .filter((name) => name.endsWith(".incr.aof"))
    .map((name) => path.join(folder, name))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  if (newest === undefined) throw new Error(`Nothing is appended in ${folder}.`);
  truncateSync(newest, statSync(newest).size - bytes);
}
