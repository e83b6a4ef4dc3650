import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunView } from "#shared/protocol/api.ts";
import {
  executionsIn,
  isAlive,
  type Journeys,
  readJournal,
  startJourneys,
  tasksOf,
  until,
} from "../support/journeys.ts";

let salt: Journeys;
beforeAll(async () => {
  salt = await startJourneys({ coordinator: ["--park-after", "300ms"] });
}, 120_000);
afterAll(() => salt?.close());

const within = (name: string): string => path.join(salt.folder, name);
const run = async (workflow: string, input: unknown): Promise<RunView> => {
  const { id } = await salt.open(`journeys/${workflow}`, input);
  return await salt.settled(id);
};
const isParked = ({ status }: RunView): boolean => status === "parked";

describe("signals and events", () => {
  test("C24 signals are taken in the order in which they came, also before the wait, and the same id is the same signal", async () => {
    const { id } = await salt.open("journeys/collect", { count: 4 });
    const say = (n: number) =>
      salt.client.call("signalRun", { params: { run: id, name: "say" }, body: { id: `s${n}`, value: n } });
    for (const n of [1, 2, 2]) await say(n);
    await salt.settled(id, isParked);
    for (const n of [3, 1]) await say(n);
    await salt.saltOk(["signal", id, "say", "--value", "4", "--id", "s4"]);
    await salt.settled(id);
    expect(await salt.output(id)).toEqual([1, 2, 3, 4]);
  });

  test("C24 an event goes to the runs whose match it fits, and a wait without one times out", async () => {
    const waits = await Promise.all([7, 8, 7].map((id) => salt.open("journeys/awaitOrder", { id })));
    const late = await salt.open("journeys/awaitOrder", { id: 9, timeoutMs: 200 });
    for (const { id } of waits) await until("it waits", async () => (await tasksOf(salt, id)).length === 1);
    await salt.saltOk(["events", "send", "journeys/order", "--value", '{"id":7,"total":3}']);
    expect((await salt.settled(late.id)).failure).toMatchObject({ type: "TimedOut" });
    const [first, other, last] = waits;
    for (const wait of [first, last]) {
      await salt.settled(wait?.id ?? "");
      expect(await salt.output(wait?.id ?? "")).toEqual({ id: 7, total: 3 });
    }
    expect((await salt.client.call("getRun", { params: { run: other?.id ?? "" } })).endedAtMs).toBeNull();
    await salt.saltOk(["events", "send", "journeys/order", "--value", '{"id":8}']);
    expect(await salt.settled(other?.id ?? "")).toMatchObject({ status: "succeeded" });
  });
});

describe("cancel", () => {
  test.each([false, true])(
    "A50 A46 A51 reaches the whole process group of a task, be it deaf to SIGTERM (%s) or not",
    async (deaf) => {
      const pidsFile = within(`pids-${deaf}`);
      const { id } = await salt.open("journeys/household", { pids: pidsFile, deaf });
      await until("the family is there", () => existsSync(pidsFile) && readFileSync(pidsFile, "utf8").endsWith("]"));
      const pids = JSON.parse(readFileSync(pidsFile, "utf8")) as number[];
      expect(pids.map(isAlive)).toEqual([true, true, true]);
      await salt.saltOk(["runs", "cancel", id, "--reason", "enough"]);
      expect(await salt.settled(id)).toMatchObject({ status: "cancelled", cancel: { reason: "enough" } });
      await until("nothing of the family lives", () => !pids.some(isAlive), 15_000);
      const task = async () => (await tasksOf(salt, id))[0];
      await expect.poll(task).toMatchObject({ status: "cancelled", failure: { type: "CancelledError" } });
    },
    30_000,
  );

  test("C23 lets a shielded block undo what was done, and the run is cancelled all the same", async () => {
    const effects = within("compensated");
    const { id } = await salt.open("journeys/compensated", { effects });
    await until("it is done", () => executionsIn(effects).length === 1);
    await salt.saltOk(["runs", "cancel", id]);
    expect(await salt.settled(id)).toMatchObject({ status: "cancelled" });
    expect(executionsIn(effects).map(({ key }) => key)).toEqual(["do", "undo"]);
  });
});

describe("the end of a run", () => {
  test("C23 a detached call goes on when its workflow has returned, any other is cancelled", async () => {
    const effects = within("left");
    const left = await run("leave", { effects, paceMs: 500 });
    expect(left).toMatchObject({ status: "succeeded", output: { json: '"left"' } });
    const statuses = async () =>
      Object.fromEntries((await tasksOf(salt, left.id)).map(({ key, status }) => [key, status]));
    await expect.poll(statuses, { timeout: 15_000 }).toMatchObject({ kept: "succeeded", dropped: "cancelled" });
  });

  test("C23 restart goes on as new runs with empty journals, each naming the next", async () => {
    const effects = within("rounds");
    let at = await run("rounds", { left: 5, effects });
    let runs = 1;
    for (; at.status === "restarted"; runs++) {
      const next = await salt.settled(at.next ?? "");
      expect(next.previous).toBe(at.id);
      expect(await readJournal(salt, at.id)).toHaveLength(4);
      at = next;
    }
    expect({ runs, output: at.output }).toEqual({ runs: 6, output: { json: "15" } });
    expect(executionsIn(effects)).toHaveLength(5);
  });

  test("C23 a retry goes on from the call that failed: what had succeeded is not executed again", async () => {
    const [effects, file] = [within("gated"), within("gate")];
    const failed = await run("gated", { effects, file });
    expect(failed).toMatchObject({ status: "failed", failure: { type: "TaskFailed" } });
    writeFileSync(file, "");
    const retry = JSON.parse(await salt.saltOk(["runs", "retry", failed.id, "--json"])) as RunView;
    expect(retry.id).not.toBe(failed.id);
    await salt.settled(retry.id);
    expect(await salt.output(retry.id)).toEqual([1, "open", 2]);
    expect(executionsIn(effects).map(({ key }) => key)).toEqual(["note#1", "note#2"]);
  });
});

describe("over the end of a coordinator by kill -9", () => {
  const restart = async () => {
    await salt.coordinator().stop("SIGKILL");
    await salt.startCoordinator();
  };

  test("an approval that was parked is answered afterwards, and what came before it is not executed again", async () => {
    const effects = within("approval");
    const { id } = await salt.open("journeys/approval", { effects });
    await salt.settled(id, isParked);
    await restart();
    await salt.saltOk(["signal", id, "decision", "--value", '{"by":"Grace"}']);
    await salt.settled(id);
    expect(await salt.output(id)).toEqual({ asked: 7, approvedBy: "Grace" });
    expect(executionsIn(effects)).toHaveLength(1);
  });

  test("a sleep ends at its time, and a wait's time-out too", async () => {
    const sleeping = await salt.open("journeys/sleeper", { ms: 1_500 });
    const waiting = await salt.open("journeys/awaitOrder", { id: 1, timeoutMs: 1_500 });
    for (const { id } of [sleeping, waiting]) await salt.settled(id, isParked);
    await restart();
    const slept = await salt.settled(sleeping.id);
    expect(slept).toMatchObject({ status: "succeeded" });
    expect((slept.endedAtMs ?? 0) - slept.createdAtMs).toBeGreaterThanOrEqual(1_500);
    expect((await salt.settled(waiting.id)).failure).toMatchObject({ type: "TimedOut" });
  });
});
