import { afterAll, beforeAll, expect, test } from "vitest";
import { livingPrograms, seededRandom, startJourneys, until } from "../support/journeys.ts";
import { type Kills, killsOf } from "../support/kills.ts";
import type { Salt } from "../support/start-salt.ts";
import { runUnderFire, type UnderFire } from "../support/wave-under-fire.ts";

let salt: Salt;
beforeAll(async () => {
  salt = await startJourneys({ slots: 4 });
}, 120_000);
afterAll(() => salt?.close());

/** Promises 1 and 3: a thousand tasks, while something is killed with kill -9 so many times, at moments of a seed. */
async function runWhile(what: string, kills: number, kill: (kills: Kills) => Promise<string>) {
  const random = seededRandom(what);
  const all = killsOf(salt, random);
  const under: UnderFire = await runUnderFire(salt, { random, kills, kill: () => kill(all) });
  expect(salt.coordinator().stderr()).not.toMatch(/"level":(50|60)/);
  return under;
}

test("A1 a thousand tasks over six ends of the coordinator settle once each, and what had settled is not executed again", async () => {
  await runWhile("coordinator killed", 6, (kills) => kills.coordinator());
}, 90_000);

test("A20 A21 a thousand tasks over five ends of the agent settle once each: the next one takes up the programs", async () => {
  const { executions } = await runWhile("agent killed", 5, (kills) => kills.agent());
  // What a living program held was not executed anew.
  expect(executions).toBeLessThan(1_000 + 5 * 8);
}, 120_000);

test("C21 a thousand tasks over seven ends of the workflow's program settle once each, and a replay executes nothing", async () => {
  const { run, executions } = await runWhile("workflow programs killed", 7, (kills) => kills.program("workflow"));
  expect(executions).toBe(1_000);
  const workflow = await salt.client.call("getTask", { params: { run: run.id, key: "@workflow" } });
  const crashes = workflow.attempts.filter(({ failure }) => failure?.type === "ProgramExited");
  // Some kills meet a program that has not been given the run yet.
  expect(crashes.length).toBeGreaterThanOrEqual(1);
  expect(crashes.length, "each kill is one crash").toBeLessThanOrEqual(7);
}, 90_000);

test("a thousand tasks over seven ends of a task's program settle once each, and what was under way is executed again", async () => {
  const { executions } = await runWhile("task programs killed", 7, (kills) => kills.program("task"));
  expect(executions).toBeGreaterThan(1_000);
}, 90_000);

test("a thousand tasks settle once each whatever is killed, in whatever order", async () => {
  await runWhile("anything killed", 8, (kills) => kills.anything());
  await until("idle programs are let go", () => livingPrograms(salt).length <= 10);
  const { rows } = await salt.client.call("listAgents", {});
  expect(rows.filter(({ connected }) => connected)).toHaveLength(1);
}, 120_000);
