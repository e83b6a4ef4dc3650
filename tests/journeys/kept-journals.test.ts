import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RunView } from "#shared/protocol/api.ts";
import { executionsIn, startJourneys, until } from "../support/journeys.ts";
import { killsOf } from "../support/kills.ts";
import type { Salt } from "../support/start-salt.ts";

let salt: Salt;
beforeAll(async () => {
  salt = await startJourneys({ coordinator: ["--park-after", "100ms"] });
}, 120_000);
afterAll(() => salt?.close());

const parked = (run: string): Promise<RunView> => salt.settled(run, ({ status }) => status === "parked");
const say = (run: string, value: number) =>
  salt.client.call("signalRun", { params: { run, name: "say" }, body: { id: `s${value}`, value } });

/** Says something to a parked run, and waits until it has answered and is parked again. */
async function ask(run: string, n: number): Promise<void> {
  await parked(run);
  await say(run, n);
  const answer = { params: { run, key: `answer ${n}` } };
  const isAnswered = () =>
    salt.client.call("getTask", answer).then(
      ({ status }) => status === "succeeded",
      () => false,
    );
  await until(`answer ${n} has succeeded`, isAnswered);
}

test("C22 a workflow wakes on a kept journal, and on none when its agent or its coordinator was killed, to the same end", async () => {
  const effects = path.join(salt.folder, "executions");
  const entries = 400;
  const signals = 6;
  const { id } = await salt.open("journeys/historian", { effects, entries, signals });
  const kills = killsOf(salt, () => 0);
  for (let n = 0; n < signals; n += 1) {
    if (n === 2) await kills.agent();
    if (n === 4) await kills.coordinator();
    await ask(id, n);
  }
  await salt.settled(id);
  const half = entries / 2;
  expect(await salt.output(id)).toBe((half * (half - 1)) / 2 + (signals * (signals - 1)) / 2);
  expect(executionsIn(effects)).toHaveLength(half + signals);
}, 60_000);

test("C22 an output that was asked for late is there when its workflow wakes on a kept journal", async () => {
  const { id } = await salt.open("journeys/late", {});
  await parked(id);
  await say(id, 1);
  const second = { params: { run: id, key: "signal:say#2" } };
  await until("it waits again", () => salt.client.call("getTask", second).then(Boolean, () => false));
  await parked(id);
  await say(id, 2);
  await salt.settled(id);
  expect(await salt.output(id)).toEqual([1, 1, 2]);
}, 30_000);
