import { expect, test } from "vitest";
import { type AgentId, partitionAt } from "#shared/domain/ids.ts";
import type { View } from "../engine/move.ts";
import { raiseSession } from "./raise-session.ts";

const hello = { t: "hello", agent: "agt_1" as AgentId } as Parameters<typeof raiseSession.decide>[1]["hello"];

const raise = (stored: number | null, nowMs: number) => {
  const view = { nowMs, get: () => (stored === null ? null : { session: stored }) } as unknown as View;
  const decision = raiseSession.decide(view, { partition: partitionAt(0), hello });
  return decision.answer({ nowMs, positions: [], applied: [true] });
};

test("C14 C16 a session's number is not given again by an engine that has forgotten the last ones", () => {
  const first = raise(null, 5_000).number;
  const second = raise(first, 5_000.4).number;
  expect(second).toBeGreaterThan(first);
  // Rolled back to before the second, or to before the agent was known.
  expect(raise(first, 7_000).number).toBeGreaterThan(second);
  expect(raise(null, 7_000).number).toBeGreaterThan(second);
  expect([raise(null, 1).isFirst, raise(first, 1).isFirst]).toEqual([true, false]);
});
