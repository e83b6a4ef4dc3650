import { expect, it } from "vitest";
import type { TaskView } from "#shared/protocol/api.ts";
import type { TaskType } from "#shared/protocol/manifest.ts";
import { FakeAgent, taskCall } from "../../tests/support/fake-agent.ts";
import { call, createStand, manifestOf, register, type Stand } from "./api-stand.ts";

const type = (name: string, options: TaskType["options"] = {}): TaskType => ({
  name,
  input: true,
  output: true,
  checks: [],
  options,
});

async function standWithRun(partitions = 1) {
  const stand = await createStand({ partitions });
  const { description } = manifestOf();
  const tasks = [
    type("score"),
    type("train", { pool: "gpu" }),
    type("ask", { limit: { name: "model", max: 2 } }),
    type("shaky", { retry: { attempts: 3, backoffMs: 60_000, backoffMaxMs: 60_000, factor: 1 } }),
  ];
  await register(stand, manifestOf({ description: { ...description, tasks } }));
  const { body } = await call(stand, "POST", "/v1/runs", { json: { project: "shop", workflow: "any" } });
  return { stand, run: String(body.id) };
}

async function connect(stand: Stand, name: string, agent = new FakeAgent()): Promise<FakeAgent> {
  stand.fleet.accept(agent.socket);
  agent.hello({ name });
  await agent.next("welcome");
  return agent;
}

const view = async (stand: Stand, run: string, key: string): Promise<TaskView> =>
  (await call(stand, "GET", `/v1/runs/${run}/tasks/${encodeURIComponent(key)}`)).body;

/** The fleet is looked at anew after a few seconds. */
const later = (stand: Stand): void => stand.clock.advance(3_001);

it("A task says what it waits for: an agent that is not there, one that is busy, its refs, its next attempt", async () => {
  const { stand, run } = await standWithRun();
  const waitsOf = async (key: string) => (await view(stand, run, key)).waits;
  expect(await view(stand, run, "@workflow")).toMatchObject({ status: "ready", waits: "no agent is connected" });
  const agent = await connect(stand, "ada");
  later(stand);
  expect(await waitsOf("@workflow")).toBe("1 agent could take it; it is busy");
  agent.credit(1, 1);
  const workflow = await agent.lease();
  expect(await waitsOf("@workflow")).toBeNull();

  agent.calls(workflow, [
    taskCall("score#1"),
    taskCall("train#1"),
    taskCall("score#2", { refs: ["score#1", "train#1"] }),
    taskCall("score#3"),
    taskCall("shaky#1"),
  ]);
  const score = await agent.lease();
  expect(score.name).toBe("score");
  expect(await waitsOf("score#1")).toBeNull();
  expect(await waitsOf("train#1")).toBe("no connected agent serves pool 'gpu'");
  expect(await waitsOf("score#2")).toBe("2 of its refs have not settled");
  expect(await waitsOf("score#3")).toBe("1 agent could take it; it is busy");
  agent.done(score, 1);
  await expect.poll(() => waitsOf("score#2")).toBe("1 of its refs has not settled: train#1");

  agent.credit(2, 1);
  const shaky = (await agent.leases(2)).find(({ name }) => name === "shaky");
  agent.fail(shaky ?? score, { retryable: true });
  await expect.poll(async () => (await view(stand, run, "shaky#1")).status).toBe("delayed");
  const delayed = await view(stand, run, "shaky#1");
  expect(delayed.readyAtMs).toBeGreaterThan(delayed.createdAtMs);
  expect(delayed.waits).toBe(`attempt 2 begins at ${new Date(delayed.readyAtMs ?? 0).toISOString()}`);
  const { rows } = (await call(stand, "GET", `/v1/runs/${run}/tasks`)).body;
  expect(rows.map(({ key, waits }: TaskView) => [key, waits !== null])).toContainEqual(["train#1", true]);
});

it("C17 a task says which limit it waits for, and limits are listed page by page with who holds and who waits", async () => {
  const { stand, run } = await standWithRun(3);
  const agent = await connect(stand, "ada");
  agent.credit(10, 1);
  const workflow = await agent.lease();
  const another = { options: { limit: { name: "another", max: 1 } } };
  agent.calls(workflow, [...[1, 2, 3].map((n) => taskCall(`ask#${n}`)), taskCall("ask#4", another)]);
  const leases = await agent.leases(3);
  const waiting = [1, 2, 3].map((n) => `ask#${n}`).find((key) => !leases.some(({ task }) => task.endsWith(key))) ?? "";
  expect(await view(stand, run, waiting)).toMatchObject({
    status: "waiting",
    waits: "limit 'model' lets 2 be at work at once; others come first",
  });
  const page = async (cursor: string | null) =>
    (await call(stand, "GET", `/v1/limits?limit=1${cursor === null ? "" : `&cursor=${cursor}`}`)).body;
  const first = await page(null);
  const second = await page(first.cursor);
  expect([...first.rows, ...second.rows]).toEqual([
    { project: "shop", name: "another", max: 1, held: 1, waiting: 0 },
    { project: "shop", name: "model", max: 2, held: 2, waiting: 1 },
  ]);
  expect((await page(second.cursor)).rows).toEqual([]);
  for (const lease of leases) agent.done(lease, 1);
  agent.done(await agent.lease(), 1);
  await expect.poll(async () => (await page(null)).rows).toEqual([]);
});

it("A task names its agents by name and by id, the attempts that have ended too", async () => {
  const { stand, run } = await standWithRun();
  const agent = await connect(stand, "ada");
  agent.credit(1, 1);
  const workflow = await agent.lease();
  agent.calls(workflow, [taskCall("score#1")]);
  const lease = await agent.lease();
  agent.send({ t: "leased", leases: [{ task: lease.task, fence: lease.fence }] });
  agent.done(lease, 1);
  await expect.poll(async () => (await view(stand, run, "score#1")).status).toBe("succeeded");
  const named = { agent: agent.id, agentName: "ada" };
  expect(await view(stand, run, "score#1")).toMatchObject({ ...named, attempts: [{ ...named, attempt: 1 }] });
});

it("The fleet is read once for all who ask within a few seconds", async () => {
  const { stand, run } = await standWithRun();
  let reads = 0;
  const range = stand.engine.range.bind(stand.engine);
  stand.engine.range = async (index, query) => {
    if (index.endsWith("}agents")) reads += 1;
    return range(index, query);
  };
  await Promise.all([1, 2, 3].map(() => view(stand, run, "@workflow")));
  await view(stand, run, "@workflow");
  expect(reads).toBe(1);
  later(stand);
  expect((await view(stand, run, "@workflow")).waits).toBe("no agent is connected");
  expect(reads).toBe(2);
});
