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

test("A20 A21 a run of a thousand tasks over five ends of the agent by kill -9 settles each once: the next one takes up the programs", async () => {
  const random = seededRandom("agent killed");
  const kills = killsOf(salt, random);
  const { executions } = await runUnderFire(salt, {
    random,
    kills: 5,
    kill: () => kills.agent(),
  });
  // What a living program held was not executed anew.
  expect(executions).toBeLessThan(1_000 + 5 * 8);
}, 120_000);
