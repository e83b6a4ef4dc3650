import { mkdtemp } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { executionsIn, readJournal, settledCounts, startJourneys, until } from "../support/journeys.ts";
import { killsOf } from "../support/kills.ts";
import type { Salt } from "../support/start-salt.ts";

let salt: Salt;
beforeAll(async () => {
  salt = await startJourneys({ slots: 4 });
}, 120_000);
afterAll(() => salt?.close());

const tasks = 5_000;
const large = tasks / 1_000;
const whole = {
  pieces: tasks,
  sum: (tasks * (tasks - 1)) / 2,
  characters: (tasks - large) * 10 + large * 20_000,
  inOrder: true,
  tallied: tasks,
};

async function start() {
  const effects = path.join(await mkdtemp(path.join(salt.folder, "effects-")), "executions");
  const startedAtMs = performance.now();
  const { id } = await salt.open("journeys/gather", { tasks, effects });
  return { id, effects, tookMs: () => Math.round(performance.now() - startedAtMs) };
}

test("C22 five thousand tasks fan into one whose argument holds all of their refs, and into a child workflow", async () => {
  const { id, tookMs } = await start();
  const run = await salt.settled(id, undefined, 90_000);
  console.info(`${tasks} refs: ${tookMs()} ms`);
  expect(run, JSON.stringify(run.failure)).toMatchObject({ status: "succeeded" });
  expect(await salt.output(id)).toEqual(whole);
  const joined = await salt.client.call("getTask", { params: { run: id, key: "join#1" } });
  expect(joined).toMatchObject({ refs: [], manyRefs: expect.stringMatching(/^[0-9a-f]{64}$/) });
}, 120_000);

test("C22 A1 and they do when the coordinator is killed as they run, as their edges are written, and as they come in", async () => {
  const { id, effects, tookMs } = await start();
  const kills = killsOf(salt, () => 0);
  const isCalled = () => salt.client.call("getTask", { params: { run: id, key: "join#1" } }).then(Boolean, () => false);
  await until("the first have been executed", () => executionsIn(effects).length > 300);
  await kills.coordinator();
  await until("the call that is given them all is journaled", isCalled, 60_000);
  await kills.coordinator();
  await until("most have been executed", () => executionsIn(effects).length > tasks * 0.8, 60_000);
  await kills.coordinator();
  const run = await salt.settled(id, undefined, 90_000);
  console.info(`${tasks} refs, coordinator killed three times: ${tookMs()} ms`);
  expect(run, JSON.stringify(run.failure)).toMatchObject({ status: "succeeded" });
  expect(await salt.output(id)).toEqual(whole);
  const counts = settledCounts(await readJournal(salt, id));
  expect(counts.size).toBe(tasks + 2);
  expect([...counts].filter(([, count]) => count !== 1)).toEqual([]);
}, 180_000);
