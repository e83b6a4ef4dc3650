import { expect, test } from "vitest";
import type { TaskId } from "#shared/domain/ids.ts";
import type { AttemptName } from "#shared/protocol/agent.ts";
import { ManualClock } from "../engine/manual-clock.ts";
import { gatherRenewals } from "./gather-renewals.ts";

const lease = (name: string, fence = 1): AttemptName => ({ task: name as TaskId, fence });

/** Whatever is called `doomed` is to end. */
function stand(renew: (leases: readonly AttemptName[]) => readonly AttemptName[]) {
  const clock = new ManualClock();
  const asked: (readonly AttemptName[])[] = [];
  const renewed = gatherRenewals({
    clock,
    leaseTtlMs: 30_000,
    renew: async (leases) => {
      asked.push(leases);
      const held = renew(leases);
      const stops = held.filter(({ task }) => task === "doomed").map((one) => ({ ...one, reason: "enough" }));
      return { held, stale: leases.filter((one) => !held.includes(one)), stops };
    },
  });
  const gathered = (leases: readonly AttemptName[]) => renewed(leases, { isUrgent: false });
  const urgent = (leases: readonly AttemptName[]) => renewed(leases, { isUrgent: true });
  return { clock, asked, gathered, urgent };
}

test("renewals of half a second are committed together, each lease once, and each agent is told of its own", async () => {
  const { clock, asked, gathered } = stand((leases) => leases.filter(({ task }) => task !== "lost"));
  const first = gathered([lease("a"), lease("lost")]);
  clock.pass(400);
  const second = gathered([lease("doomed"), lease("a")]);
  expect(asked).toEqual([]);
  clock.pass(100);
  expect(await first).toEqual({ held: [lease("a")], stale: [lease("lost")], stops: [] });
  const stops = [{ ...lease("doomed"), reason: "enough" }];
  expect(await second).toEqual({ held: [lease("doomed"), lease("a")], stale: [], stops });
  expect(asked).toEqual([[lease("a"), lease("lost"), lease("doomed")]]);
  const third = gathered([lease("a", 2)]);
  clock.pass(500);
  expect(await third).toEqual({ held: [lease("a", 2)], stale: [], stops: [] });
});

test("C17 an urgent renewal waits for nothing, and others still wait for each other", async () => {
  const { clock, asked, gathered, urgent } = stand((leases) => leases);
  const waiting = gathered([lease("a")]);
  expect(await urgent([lease("b")])).toEqual({ held: [lease("b")], stale: [], stops: [] });
  expect(asked).toEqual([[lease("b")]]);
  clock.pass(500);
  expect(await waiting).toEqual({ held: [lease("a")], stale: [], stops: [] });
});

test("what the engine refuses is refused to all, and the next are asked anew", async () => {
  let away = true;
  const { clock, gathered } = stand((leases) => {
    if (away) throw new Error("away");
    return leases;
  });
  const refused = [gathered([lease("a")]), gathered([lease("b")])];
  clock.pass(500);
  for (const one of refused) await expect(one).rejects.toThrow("away");
  away = false;
  const again = gathered([lease("a")]);
  clock.pass(500);
  expect(await again).toEqual({ held: [lease("a")], stale: [], stops: [] });
});
