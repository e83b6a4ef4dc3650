import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { executionsIn, startJourneys } from "../support/journeys.ts";
import type { Salt } from "../support/start-salt.ts";

let salt: Salt;
beforeAll(async () => {
  salt = await startJourneys({ slots: 1 });
}, 120_000);
afterAll(() => salt?.close());

/** What `nest` gives: at each level its number, 100 beside, what is below, and 1. */
const nested = (levels: number): number => (levels === 0 ? 0 : levels + 100 + nested(levels - 1) + 1);

test("C20 an agent with one slot completes a workflow that calls tasks and children three levels deep", async () => {
  const effects = path.join(salt.folder, "three");
  const { id } = await salt.open("journeys/nest", { levels: 3, effects });
  await salt.settled(id);
  expect(await salt.output(id)).toBe(nested(3));
  expect(executionsIn(effects)).toHaveLength(3 * 3 + 1);
});

test("C20 it completes one that is deeper than there are slots for workflows, as waiting parents give theirs up", async () => {
  const { rows } = await salt.client.call("listAgents", {});
  const levels = (rows[0]?.capacity.workflows ?? 0) + 4;
  const { id } = await salt.open("journeys/nest", { levels });
  await salt.settled(id);
  expect(await salt.output(id)).toBe(nested(levels));
}, 60_000);

test("many parents at once do not keep each other's children from their slots", async () => {
  const runs = await Promise.all(Array.from({ length: 20 }, () => salt.open("journeys/nest", { levels: 2 })));
  for (const { id } of runs) {
    const { output } = await salt.settled(id, undefined, 40_000);
    expect(output).toEqual({ json: String(nested(2)) });
  }
}, 60_000);
