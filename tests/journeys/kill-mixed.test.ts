import { afterAll, beforeAll, expect, test } from "vitest";
import { livingPrograms, seededRandom, startJourneys, until } from "../support/journeys.ts";
import { killsOf } from "../support/kills.ts";
import type { Salt } from "../support/start-salt.ts";
import { runUnderFire } from "../support/wave-under-fire.ts";

let salt: Salt;
beforeAll(async () => {
  salt = await startJourneys({ slots: 4 });
}, 120_000);
afterAll(() => salt?.close());

test("a run of a thousand tasks settles each once whatever is killed, in whatever order", async () => {
  const random = seededRandom("anything killed");
  const kills = killsOf(salt, random);
  const all = [
    kills.coordinator,
    kills.agent,
    kills.both,
    () => kills.program("workflow"),
    () => kills.program("task"),
  ];
  await runUnderFire(salt, {
    random,
    kills: 8,
    kill: () => (all[Math.floor(random() * all.length)] ?? kills.coordinator)(),
  });
  await until("idle programs are let go", () => livingPrograms(salt).length <= 10);
  expect((await salt.client.call("listAgents", {})).rows.filter(({ connected }) => connected)).toHaveLength(1);
}, 120_000);
