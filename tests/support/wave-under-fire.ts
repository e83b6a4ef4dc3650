import { mkdtemp } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { JournalRow, RunView } from "#shared/protocol/api.ts";
import { type Execution, executionsIn, readJournal, settledCounts, tasksOf, until } from "./journeys.ts";
import type { Salt } from "./start-salt.ts";

/** 385 tasks whose outputs ask for 577 more, and a chain of 39: a thousand. */
const shape = { first: 385, steps: 39 };
const childrenOf = (index: number): number => (index * 7) % 4;

/** What the run must come to, computed without Salt. */
function expectedOutput(): { tasks: number; sum: number; chain: number } {
  let tasks = shape.first + shape.steps;
  let sum = 0;
  for (let index = 0; index < shape.first; index++) {
    for (let child = 0; child < childrenOf(index); child++) {
      tasks += 1;
      sum += index * 10 + child;
    }
  }
  return { tasks, sum, chain: shape.steps };
}

export interface Fire {
  /** Numbers in [0, 1). */
  readonly random: () => number;
  /** How many times something is killed. */
  readonly kills: number;
  /** Kills something, and starts again what has to be started by hand. Says what it did. */
  readonly kill: (run: string) => Promise<string>;
  readonly paceMs?: number;
  /** Default 60 s. */
  readonly timeoutMs?: number;
}

export interface UnderFire {
  readonly run: RunView;
  readonly executions: number;
  readonly tookMs: number;
}

/**
 * Runs the thousand tasks while something is killed at moments drawn from `random`, and holds what came of it against
 * what must: the right output, each call settled once, none executed again after it had settled.
 */
export async function runUnderFire(salt: Salt, fire: Fire): Promise<UnderFire> {
  const effects = path.join(await mkdtemp(path.join(salt.folder, "effects-")), "executions");
  const expected = expectedOutput();
  const startedAtMs = performance.now();
  const { id } = await salt.open("journeys/wave", { ...shape, effects, paceMs: fire.paceMs ?? 8 });
  const moments = Array.from({ length: fire.kills }, () => Math.floor(fire.random() * expected.tasks * 0.98));
  const settledBefore: { key: string; byMs: number }[] = [];
  let seen: readonly JournalRow[] = [];
  for (const moment of moments.sort((a, b) => a - b)) {
    await until(`${moment} tasks have begun`, () => executionsIn(effects).length >= moment, 60_000);
    await sleep(fire.random() * 30);
    seen = (await journalNow(salt, id)) ?? seen;
    for (const key of settledCounts(seen).keys()) settledBefore.push({ key, byMs: Date.now() });
    const atMs = Math.round(performance.now() - startedAtMs);
    console.info(`  ${atMs} ms, ${executionsIn(effects).length} executions: killed ${await fire.kill(id)}`);
  }
  const run = await salt.settled(id, undefined, fire.timeoutMs ?? 60_000);
  const tookMs = Math.round(performance.now() - startedAtMs);
  expect(run, JSON.stringify(run.failure)).toMatchObject({ status: "succeeded" });
  expect(await salt.output(id)).toEqual(expected);
  const executions = executionsIn(effects);
  const journal = await readJournal(salt, id);
  expect(journal.slice(0, seen.length), "what the API had answered is still so").toEqual(seen);
  await expectSettledOnce(salt, journal, { run: id, tasks: expected.tasks, executed: executions });
  const again = executions.filter(({ key, atMs }) =>
    settledBefore.some((settled) => settled.key === key && settled.byMs < atMs),
  );
  expect(again, "what had settled was executed again").toEqual([]);
  console.info(`  succeeded in ${tookMs} ms with ${executions.length} executions`);
  return { run, executions: executions.length, tookMs };
}

/** Null where no coordinator answers. */
const journalNow = (salt: Salt, run: string): Promise<JournalRow[] | null> => readJournal(salt, run).catch(() => null);

async function expectSettledOnce(
  salt: Salt,
  journal: readonly JournalRow[],
  { run, tasks, executed }: { run: string; tasks: number; executed: readonly Execution[] },
): Promise<void> {
  const counts = settledCounts(journal);
  const called = journal.flatMap(({ e, key = "" }) => (e === "called" ? [key] : []));
  expect(new Set(called).size, "each call is in the journal once").toBe(called.length);
  expect([...counts].filter(([, count]) => count !== 1)).toEqual([]);
  expect([...counts.keys()].sort()).toEqual(called.sort());
  expect(counts.size).toBe(tasks);
  expect([...new Set(executed.map(({ key }) => key))].sort()).toEqual(called);
  expect(journal.at(-1)).toMatchObject({ e: "ended", state: "succeeded" });
  const rows = (await tasksOf(salt, run)).filter(({ key }) => key !== "@workflow");
  expect(rows.filter(({ status }) => status !== "succeeded")).toEqual([]);
  expect(rows.length).toBe(tasks);
}
