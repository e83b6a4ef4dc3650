import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { livingPrograms, seededRandom, startJourneys } from "../support/journeys.ts";
import type { Salt } from "../support/start-salt.ts";
import { runUnderFire } from "../support/wave-under-fire.ts";

let salt: Salt;
beforeAll(async () => {
  salt = await startJourneys({ agents: 2, slots: 2, coordinator: ["--lease-ttl", "2s"] });
}, 120_000);
afterAll(() => salt?.close());

test("A18 C11 an agent that was frozen for longer than its leases live finds them void: each task settles once, by whichever agent", async () => {
  const random = seededRandom("agent frozen");
  await runUnderFire(salt, {
    random,
    kills: 1,
    async kill() {
      const [first] = salt.agents;
      first?.child.kill("SIGSTOP");
      await sleep(3_000);
      first?.child.kill("SIGCONT");
      return "nothing, but froze the first agent for 3 s";
    },
  });
}, 60_000);

test("C12 what a machine held that is gone for good is executed by another once its leases have ended", async () => {
  const random = seededRandom("agent gone");
  const { tookMs } = await runUnderFire(salt, {
    random,
    kills: 1,
    async kill() {
      const [first] = salt.agents;
      await first?.stop("SIGKILL");
      // Both agents' programs: those of the living one are started anew.
      for (const { pid } of livingPrograms(salt)) process.kill(-pid, "SIGKILL");
      return "the first agent and every program";
    },
  });
  expect(tookMs).toBeLessThan(30_000);
  const { rows } = await salt.client.call("listAgents", {});
  expect(rows.filter(({ connected }) => connected)).toHaveLength(1);
}, 60_000);
