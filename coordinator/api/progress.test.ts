import { afterEach, describe, expect, it } from "vitest";
import { type CallKey, type RunId, taskId } from "#shared/domain/ids.ts";
import { FakeAgent, taskCall } from "../../tests/support/fake-agent.ts";
import { ManualClock } from "../engine/manual-clock.ts";
import { ProgressBoard } from "../progress.ts";
import { call, createStand, register, type Stand } from "./api-stand.ts";
import { ProgressFeed } from "./progress-feed.ts";

let stand: Stand | null = null;
afterEach(() => {
  stand?.fleet.close();
  stand?.mover.close();
});

/** A run with one call, and its attempt that an agent has begun. */
async function startTask() {
  stand = await createStand();
  const api = stand;
  await register(api);
  const agent = new FakeAgent();
  api.fleet.accept(agent.socket);
  agent.hello();
  await agent.next("welcome");
  agent.credit(4, 4);
  const opened = await call(api, "POST", "/v1/runs", { json: { project: "shop", workflow: "main", input: { n: 1 } } });
  const run: RunId = opened.body.id;
  const workflow = await agent.lease();
  agent.calls(workflow, [taskCall("score#1")]);
  await agent.next("accepted");
  const lease = await agent.lease();
  const begin = async ({ task, fence } = lease) => {
    agent.send({ t: "started", leases: [{ task, fence }] });
    agent.send({ t: "renew", leases: [{ task, fence }] });
    await agent.next("renewed");
  };
  const say = ({ task, fence }: { task: string; fence: number }, what: object) =>
    agent.send({ t: "progress", task, fence, ...what });
  const view = async () => (await call(api, "GET", `/v1/runs/${run}/tasks/score%231`)).body;
  return { api, agent, run, lease, begin, say, view };
}

/** The fields of a stream's events, as they come. */
async function* eventsOf(api: Stand, path: string, headers: Record<string, string> = {}) {
  const { response } = await call(api, "GET", path, { headers });
  let text = "";
  for await (const bytes of response.body ?? []) {
    text += Buffer.from(bytes).toString();
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const fields = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const [id = "", event = "", data = ""] = fields.map((field) => field.slice(field.indexOf(": ") + 2));
      if (fields.length === 3) yield { id, event, data: JSON.parse(data) };
    }
  }
}

describe("a task's progress", () => {
  it("is shown with the task until its attempt has ended", async () => {
    const { agent, lease, begin, say, view } = await startTask();
    await begin();
    expect((await view()).progress).toBeNull();
    say(lease, { fraction: 0.4, message: "half of it" });
    expect(await view()).toMatchObject({
      status: "running",
      agent: expect.stringMatching(/^agt_[0-9a-z]+$/),
      progress: { fraction: 0.4, message: "half of it", atMs: expect.any(Number) },
    });
    agent.done(lease, 1);
    await agent.next("accepted");
    expect(await view()).toMatchObject({ status: "succeeded", progress: null });
  });

  it("C11 is not taken from an attempt with an older fence", async () => {
    const { agent, lease, begin, say, view } = await startTask();
    say(lease, { fraction: 0.9 });
    agent.send({ t: "handback", leases: [{ task: lease.task, fence: lease.fence }] });
    const newer = await agent.lease();
    await begin(newer);
    say(lease, { fraction: 1 });
    expect(await view()).toMatchObject({ status: "running", progress: null });
    say(newer, { message: "anew" });
    expect((await view()).progress).toMatchObject({ fraction: null, message: "anew" });
  });

  it("is told by the journal's stream under the id of the entry before it, to who comes late too", async () => {
    const { api, run, lease, begin, say } = await startTask();
    await begin();
    say(lease, { fraction: 0.1 });
    const path = `/v1/runs/${run}/journal/stream`;
    const stream = eventsOf(api, path);
    const next = async () => (await stream.next()).value;
    expect([(await next())?.id, (await next())?.id]).toEqual(["1", "2"]);
    const progress = { key: "score#1", fraction: 0.1, message: null, atMs: expect.any(Number) };
    expect(await next()).toEqual({ id: "2", event: "progress", data: progress });
    say(lease, { fraction: 0.2 });
    say(lease, { fraction: 0.3, message: "more" });
    expect((await next())?.data).toMatchObject({ fraction: 0.3, message: "more" });
    await stream.return(undefined);
    const again = eventsOf(api, path, { "last-event-id": "2" });
    expect((await again.next()).value).toMatchObject({ id: "2", event: "progress", data: { fraction: 0.3 } });
    await again.return(undefined);
  });
});

describe("the progress that a stream tells", () => {
  const run = `run_${"0".repeat(28)}` as RunId;
  const attempt = { task: taskId(run, "score#1" as CallKey), fence: 1 };

  it("is a task's latest, at most once in 200 ms", async () => {
    const clock = new ManualClock();
    const progress = new ProgressBoard(clock);
    const feed = new ProgressFeed({ clock, progress }, run);
    const { signal } = new AbortController();
    const taken = () => feed.take().map(({ fraction }) => fraction);
    progress.say(attempt, { fraction: 0.1 });
    await feed.wait(signal);
    expect(taken()).toEqual([0.1]);
    progress.say(attempt, { fraction: 0.2 });
    const due = feed.wait(signal);
    clock.pass(199);
    expect(taken()).toEqual([]);
    progress.say(attempt, { fraction: 0.3 });
    clock.pass(1);
    await due;
    expect(taken()).toEqual([0.3]);
    clock.pass(200);
    expect(taken()).toEqual([]);
  });

  it("is waited for no longer when the reader is gone", async () => {
    const clock = new ManualClock();
    const progress = new ProgressBoard(clock);
    const feed = new ProgressFeed({ clock, progress }, run);
    const waitAndLeave = async () => {
      const gone = new AbortController();
      const wait = feed.wait(gone.signal);
      await Promise.resolve();
      gone.abort();
      return wait;
    };
    await expect(waitAndLeave()).resolves.toBeUndefined();
    progress.say(attempt, { fraction: 0.1 });
    expect(feed.take()).toHaveLength(1);
    progress.say(attempt, { fraction: 0.2 });
    await expect(waitAndLeave()).resolves.toBeUndefined();
  });
});
