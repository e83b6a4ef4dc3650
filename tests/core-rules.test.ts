import { afterEach, expect, test } from "vitest";
import type { Engine, Transaction } from "#coordinator/engine/engine.ts";
import { createMemoryEngine } from "#coordinator/engine/memory/memory-engine.ts";
import { derivedRunId, isRunId, newRunId, partitionAt, partitionFor, partitionOf } from "#shared/domain/ids.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { FakeAgent, taskCall } from "./support/fake-agent.ts";
import { startJourney } from "./support/start-journey.ts";

type Journey = Awaited<ReturnType<typeof startJourney>>;
let started: Journey | null = null;
afterEach(() => started?.close());

/** Keeps every transaction that was committed. */
function recorded(engine: Engine): { engine: Engine; transactions: Transaction[] } {
  const transactions: Transaction[] = [];
  const commit: Engine["commit"] = (partition, batch, claim) => {
    transactions.push(...batch);
    return claim ? engine.commit(partition, batch, claim) : engine.commit(partition, batch);
  };
  const others = Object.fromEntries(
    (["get", "range", "read", "listen", "close"] as const).map((name) => [name, engine[name].bind(engine)]),
  );
  return { engine: { ...others, commit } as Engine, transactions };
}

const taskCount = 30;

async function runTasks(journey: Journey, agent: FakeAgent): Promise<void> {
  journey.fleet.accept(agent.socket);
  agent.hello();
  await agent.next("welcome");
  agent.credit(taskCount, 4);
  const run = await journey.open();
  const workflow = await agent.lease();
  agent.calls(
    workflow,
    Array.from({ length: taskCount }, (_, index) => taskCall(`work#${index + 1}`)),
  );
  for (const lease of await agent.leases(taskCount)) agent.done(lease);
  await agent.entries((entry) => entry.e === "settled" && entry.p >= 1 + 2 * taskCount);
  agent.done(workflow);
  await expect.poll(async () => (await journey.read(run)).state).toBe("succeeded");
}

test("C7 moves that settle different tasks check no record that another of them writes", async () => {
  const { engine, transactions } = recorded(createMemoryEngine({ clock: systemClock }));
  started = await startJourney({ engine });
  await runTasks(started, new FakeAgent());
  const settled = transactions.flatMap(({ checks, writes }) => {
    const task = writes.find((write) => write.kind === "release")?.member;
    if (task === undefined || task.endsWith("/@workflow")) return [];
    return [{ task, sets: writes.flatMap((w) => (w.kind === "set" ? [w.key] : [])), checks }];
  });
  expect(new Set(settled.map(({ task }) => task)).size).toBe(taskCount);
  const writers = new Map(settled.flatMap(({ task, sets }) => sets.map((key) => [key as string, task] as const)));
  const hot = settled.flatMap(({ task, checks }) =>
    checks.flatMap((check) => {
      const writer = check.kind === "stamp" ? writers.get(check.key) : undefined;
      return writer !== undefined && writer !== task ? [`${task} checks what ${writer} writes: ${check.kind}`] : [];
    }),
  );
  expect(hot).toEqual([]);
});

test("C8 a run's partition is in its id, so that their number may grow", () => {
  for (const index of [0, 1, 31, 32, 1023]) {
    const partition = partitionAt(index);
    const run = newRunId(partition, systemClock, systemRandom);
    expect(isRunId(run)).toBe(true);
    expect(partitionOf(run)).toBe(partition);
    expect(partitionOf(derivedRunId(partition, "project", "api", "key"))).toBe(partition);
  }
});

test("C8 a run under an identity has one id, whoever asks for it, and identities do not run together", () => {
  const partition = partitionFor(16, "project", "api", "key");
  expect(partitionFor(16, "project", "api", "key")).toBe(partition);
  expect(derivedRunId(partition, "project", "api", "key")).toBe(derivedRunId(partition, "project", "api", "key"));
  expect(derivedRunId(partition, "ab", "c")).not.toBe(derivedRunId(partition, "a", "bc"));
});

test("C8 partitions are taken evenly by hash", () => {
  const counts = new Map<string, number>();
  for (let index = 0; index < 16_000; index++) {
    const partition = partitionFor(16, "project", `name-${index}`);
    counts.set(partition, (counts.get(partition) ?? 0) + 1);
  }
  expect(counts.size).toBe(16);
  for (const count of counts.values()) expect(count).toBeGreaterThan(800);
});
