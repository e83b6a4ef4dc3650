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

test("A1 a run of a thousand tasks over six ends of the coordinator by kill -9 settles each once, and executes nothing twice that had settled", async () => {
  const random = seededRandom("coordinator killed");
  const kills = killsOf(salt, random);
  await runUnderFire(salt, {
    random,
    kills: 6,
    kill: () => kills.coordinator(),
  });
  expect(salt.coordinator().stderr()).not.toMatch(/"level":(50|60)/);
}, 90_000);
