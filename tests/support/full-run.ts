import { type TaskRecord, taskKey } from "#coordinator/records.ts";
import type { NewRun } from "#coordinator/state/new-run.ts";
import { queueName, requirementOf } from "#coordinator/state/queues.ts";
import { type CallKey, type RunId, sha256, taskId } from "#shared/domain/ids.ts";
import { taskCall } from "./fake-agent.ts";
import { hourMs, type RetentionStand, sweepAll, until } from "./retention-stand.ts";

type Journey = Awaited<ReturnType<RetentionStand["journey"]>>;

export const digest = "0".repeat(64);
const large = Buffer.from(JSON.stringify("x".repeat(20_000)));
export const ended = (journey: Journey, run: RunId) =>
  until(async () => (await journey.read(run)).endedAtMs !== null, `the end of ${run}`);

/** What is there, but for what a coordinator keeps for itself: ticks, watches, clocks. */
export const contentsOf = async (stand: RetentionStand) =>
  (await stand.engine.contents()).filter(
    (name) => !/^\{p\d\}(tick|watch|paused|leader|audit|agent|kept\/agents)/.test(name),
  );
export const ofRun = async (stand: RetentionStand, run: RunId) =>
  (await contentsOf(stand)).filter((name) => name.includes(run));

export async function stateOf(stand: RetentionStand, run: RunId, key: string): Promise<string | undefined> {
  const { found } = await stand.engine.get([taskKey(taskId(run, key as CallKey))]);
  return (JSON.parse(found[0]?.value ?? "null") as TaskRecord | null)?.state;
}

/** A run of everything: tasks that depend on each other, retried and failed ones, waits, a child, logs, large values. */
export async function liveFully(stand: RetentionStand, journey: Journey): Promise<RunId> {
  const { agent, runs, blobs } = journey;
  const trigger = { kind: "manual", name: null, by: "test" } as const;
  const identity = { source: "api", key: "k", digest: "d" };
  await blobs.put(sha256(large), large, large.length);
  const value = { blob: sha256(large), bytes: large.length };
  const { run } = await runs.openRun({ project: "demo", workflow: "main", input: value, trigger, identity });
  const workflow = await agent.lease();
  for (const id of ["s1", "s2"]) await runs.signalRun({ run, name: "go", id, value: { json: "1" }, by: "test" });
  agent.calls(workflow, [
    taskCall("work#1"),
    taskCall("work#2", { refs: ["work#1"], options: { queueTimeoutMs: hourMs } }),
    taskCall("other#1", { options: { retry: { attempts: 2, backoffMs: 1 } } }),
    { kind: "signal", key: "signal:go#1", name: "go", digest },
    { kind: "signal", key: "signal:stop#1", name: "stop", digest, timeoutMs: hourMs },
    { kind: "event", key: "event:paid#1", name: "paid", digest, timeoutMs: hourMs },
    ...Array.from({ length: 45 }, (_, n) => ({ kind: "sleep", key: `sleep#${n}`, digest, forMs: hourMs })),
    { kind: "workflow", key: "child#1", name: "child", digest, input: { json: "1" }, refs: ["work#1"] },
  ]);
  const first = await agent.leases(2);
  const work = first.find(({ name }) => name === "work");
  const other = first.find(({ name }) => name === "other");
  if (!work || !other) throw new Error("two tasks are ready");
  const chunk = (lease: typeof work, text: string) => ({
    task: lease.task,
    fence: lease.fence,
    stream: "stdout",
    offset: 0,
    text,
    atMs: 1,
  });
  agent.send({ t: "logs", seq: agent.seq(), chunks: [chunk(work, "a"), chunk(other, "b"), chunk(workflow, "c")] });
  agent.report(work, { kind: "done", output: value });
  agent.fail(other, { retryable: true });
  const next = await agent.leases(3);
  for (const lease of next) {
    if (lease.name === "other") agent.fail(lease);
    else agent.done(lease, "done");
  }
  await runs.sendEvent({ project: "demo", name: "paid", id: "e1", value, by: "test" });
  await until(async () => (await stateOf(stand, run, "event:paid#1")) === "succeeded", "the event");
  await until(async () => (await stateOf(stand, run, "child#1")) === "succeeded", "the child");
  agent.done(workflow, "output");
  await ended(journey, run);
  // What the end left open is cancelled, and messages are delivered.
  await until(
    async () => !(await contentsOf(stand)).some((name) => /\}(closing|outbox|walks|resolving) /.test(name)),
    "nothing is under way",
  );
  return run;
}

export const newRunOf = (id: RunId): NewRun => ({
  id,
  project: "demo",
  release: "rel_1",
  workflow: "main",
  queue: queueName(
    requirementOf("workflow", { binaries: { "linux-x64": { sha256: sha256("binary"), bytes: 1 } } }, {}),
  ),
  options: {},
  input: { json: "1" },
  seed: "",
  trigger: { kind: "manual", name: null, by: "test" },
  parent: null,
  previous: null,
  priority: 0,
  identityDigest: "d",
  runTimeoutMs: null,
  refs: [],
  waits: false,
});

export const attemptOf = ({ task, fence }: { task: string; fence: number }) => ({ task, fence });

/** Removes the child, and begins with the run itself. */
export async function markOnly(
  stand: RetentionStand,
  { retention }: ReturnType<RetentionStand["coordinator"]>,
): Promise<void> {
  await sweepAll(stand, retention);
  stand.clock.advance(hourMs);
  for (const partition of stand.partitions) await retention.sweep(partition);
}
