import { afterEach, beforeEach, expect } from "vitest";
import type { Engine } from "#coordinator/engine/engine.ts";
import { type JournalRecord, type TaskRecord, taskKey } from "#coordinator/records.ts";
import { readJournal } from "#coordinator/state/read-journal.ts";
import { type CallKey, partitionOf, type RunId, runOfTask, taskId } from "#shared/domain/ids.ts";
import type { Lease } from "#shared/protocol/agent.ts";
import { FakeAgent } from "./fake-agent.ts";
import { startJourney } from "./start-journey.ts";

/** Steps of tests that tell a history. What `start` starts is closed after each test, which fails when a rejection was handled by nobody. */

export type Started = Awaited<ReturnType<typeof startJourney>>;
let open: Started[] = [];
const unhandled: unknown[] = [];
const onUnhandled = (error: unknown) => void unhandled.push(error);

export async function start(options: Parameters<typeof startJourney>[0] = {}): Promise<Started> {
  const journey = await startJourney(options);
  open.push(journey);
  return journey;
}

const agentId = (digit: number) => `agt_${"0".repeat(25)}${digit}`;

export async function connect(
  journey: Started,
  tasks: number,
  workflows: number,
  digit = 1,
  hello: Parameters<FakeAgent["hello"]>[0] = {},
): Promise<FakeAgent> {
  const agent = new FakeAgent(agentId(digit));
  journey.fleet.accept(agent.socket);
  agent.hello(hello);
  await agent.next("welcome");
  agent.credit(tasks, workflows);
  return agent;
}

export async function task(journey: Started, run: RunId, key: string): Promise<TaskRecord> {
  const { found } = await journey.engine.get([taskKey(taskId(run, key as CallKey))]);
  return JSON.parse(found[0]?.value ?? "null") as TaskRecord;
}

export async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  const startedMs = Date.now();
  while (!(await holds())) {
    if (Date.now() - startedMs > 4_000) throw new Error("it did not come to hold");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
export const ended = (journey: Started, run: RunId) => until(async () => (await journey.read(run)).endedAtMs !== null);
export const journalOf = async (journey: Started, run: RunId) =>
  (await readJournal(journey.engine, run)).map(({ value }) => JSON.parse(value) as JournalRecord);
export const signalCall = (n: number, more: object = {}) => ({
  kind: "signal",
  key: `signal:go#${n}`,
  name: "go",
  digest: "0".repeat(64),
  ...more,
});
export const signal = (journey: Started, run: RunId, id: string) =>
  journey.runs.signalRun({ run, name: "go", id, value: { json: "1" }, by: "test" });
export const childCall = (more: object = {}) => ({
  kind: "workflow",
  key: "child#1",
  name: "child",
  input: { json: "5" },
  digest: "0".repeat(64),
  ...more,
});

/** The engine with a call of it in other hands. */
export const meddle = (engine: Engine, more: Partial<Engine>): Engine => ({
  get: engine.get.bind(engine),
  commit: engine.commit.bind(engine),
  range: engine.range.bind(engine),
  read: engine.read.bind(engine),
  listen: engine.listen.bind(engine),
  close: engine.close.bind(engine),
  ...more,
});

/** The lease's deadline has passed, as the next sweep finds. */
export const expire = (journey: Started, lease: Lease) =>
  journey.engine.commit(partitionOf(runOfTask(lease.task)), [
    { checks: [], writes: [{ kind: "hold", member: lease.task, forMs: 0 }] },
  ]);

beforeEach(() => {
  process.on("unhandledRejection", onUnhandled);
});
afterEach(async () => {
  for (const journey of open) journey.close();
  open = [];
  await pause(0);
  process.off("unhandledRejection", onUnhandled);
  expect(unhandled.splice(0)).toEqual([]);
});
