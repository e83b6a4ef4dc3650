import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startJourneys } from "../support/journeys.ts";
import { startProcess } from "../support/salt-process.ts";
import type { Salt } from "../support/start-salt.ts";

let salt: Salt;
beforeAll(async () => {
  salt = await startJourneys();
}, 120_000);
afterAll(() => salt?.close());

const expected = (lines: number): string[] =>
  [...Array.from({ length: lines }, (_, line) => `line ${line}`), "the end"].map((line) => `prints#1 │ ${line}`);
const linesOf = (text: string): string[] => text.trimEnd().split("\n");

test("A2 A20 the log of a task comes while it runs, whole and in order, over ends of coordinator and agent by kill -9", async () => {
  const lines = 250;
  const { id } = await salt.open("journeys/single", { name: "prints", input: { lines, everyMs: 10 } });
  const tail = startProcess(["logs", id, "-f"], { cwd: salt.folder, env: salt.env });
  await tail.said(/line 40\n/, "stdout");
  expect((await salt.client.call("getRun", { params: { run: id } })).endedAtMs).toBeNull();
  await salt.coordinator().stop("SIGKILL");
  await sleep(300);
  await salt.startCoordinator();
  await tail.said(/line 100\n/, "stdout");
  await salt.agents.at(-1)?.stop("SIGKILL");
  await salt.startAgent("agent-1");
  expect(await tail.ended).toBe(0);
  expect(linesOf(tail.stdout())).toEqual(expected(lines));
  expect(linesOf(await salt.saltOk(["logs", id]))).toEqual(expected(lines));
  expect(tail.stderr()).toMatch(/lost[\s\S]*back/);
  expect(await salt.settled(id)).toMatchObject({ status: "succeeded" });
}, 60_000);

test("a fast writer's log is whole and in order too, also for who asks only afterwards", async () => {
  const lines = 20_000;
  const { id } = await salt.open("journeys/single", { name: "prints", input: { lines, everyMs: 0 } });
  await salt.settled(id);
  await expect.poll(async () => linesOf(await salt.saltOk(["logs", id]))).toEqual(expected(lines));
  expect(linesOf(await salt.saltOk(["logs", id, "--tail", "2"]))).toEqual(expected(lines).slice(-2));
});
