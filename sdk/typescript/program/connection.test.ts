import { expect, test } from "vitest";
import { createVirtualClock } from "../testing/virtual-clock.ts";
import { Connection } from "./connection.ts";
import { dialAgentAt, keepProcessAlive } from "./dial-agent.ts";

test("C18 a program that has had no agent for its bound gives up, and not before", async () => {
  const clock = createVirtualClock();
  let gaveUp = 0;
  const connection = new Connection({
    clock,
    random: { float: () => 0.5, bytes: (count) => new Uint8Array(count) },
    dial: dialAgentAt("/nowhere/at/all"),
    keepAlive: keepProcessAlive,
    hello: () => ({ t: "hello", protocol: 1, sdk: "test", session: "s", pid: 1, argsId: null, working: [] }),
    receive: () => {},
    giveUp: () => {
      gaveUp += 1;
    },
    lonelyMs: 600_000,
  });
  await clock.pass(599_999);
  expect(gaveUp).toBe(0);
  await clock.pass(1);
  expect(gaveUp).toBe(1);
  connection.close();
});
