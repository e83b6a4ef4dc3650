import { afterAll, beforeAll, expect, test } from "vitest";
import { seededRandom, startJourneys } from "../support/journeys.ts";
import { killsOf } from "../support/kills.ts";
import type { Salt } from "../support/start-salt.ts";
import { runUnderFire } from "../support/wave-under-fire.ts";

let salt: Salt;
beforeAll(async () => {
  salt = await startJourneys({ slots: 4 });
}, 120_000);
afterAll(() => salt?.close());

test("a run of a thousand tasks over seven ends of the workflow's program by kill -9 settles each once, and a replay executes nothing twice", async () => {
  const random = seededRandom("workflow programs killed");
  const kills = killsOf(salt, random);
  const { run, executions } = await runUnderFire(salt, { random, kills: 7, kill: () => kills.program("workflow") });
  // Tasks go on while their workflow is away: none of them is executed again.
  expect(executions).toBe(1_000);
  const workflow = await salt.client.call("getTask", { params: { run: run.id, key: "@workflow" } });
  const crashes = workflow.attempts.filter(({ failure }) => failure?.type === "ProgramExited");
  expect(crashes.length).toBeGreaterThanOrEqual(4);
}, 90_000);

test("a run of a thousand tasks over seven ends of a task's program by kill -9 settles each once, and executes again what was under way", async () => {
  const random = seededRandom("task programs killed");
  const kills = killsOf(salt, random);
  const { executions } = await runUnderFire(salt, { random, kills: 7, kill: () => kills.program("task") });
  expect(executions).toBeGreaterThan(1_000);
}, 90_000);
