import { mkdtemp } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { readText } from "#cli/client.ts";
import type { JournalRow, RunView } from "#shared/protocol/api.ts";
import { type Execution, executionsIn, readJournal, settledCounts, tasksOf, until } from "./journeys.ts";
import type { Salt } from "./start-salt.ts";

/** A first wave, whose outputs ask for about one and a half times as many tasks, and a chain. */
export interface Shape {
  readonly first: number;
  readonly steps: number;
}

/** 385 tasks whose outputs ask for 576 more, and a chain of 39: a thousand. */
const thousand: Shape = { first: 385, steps: 39 };
const childrenOf = (index: number): number => (index * 7) % 4;

/** What the run must come to, computed without Salt. */
function expectedOutput(shape: Shape): { tasks: number; sum: number; chain: number } {
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

/** Where a run goes: Salt on one coordinator, or a fleet of them. */
export type Place = Pick<Salt, "client" | "folder" | "open" | "settled">;

export interface Fire {
  /** Default: `journeys/wave`. */
  readonly workflow?: string;
  /** Default: a thousand tasks. */
  readonly shape?: Shape;
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
  readonly tasks: number;
  readonly executions: number;
  readonly tookMs: number;
}

/**
 * Kills in a row with no new journal entry between them. Five crashes of a workflow's program without one end its run (C23),
 * and one whose report is late counts as of when that is settled.
 */
const barrenKillsMax = 2;

/**
 * Runs the thousand tasks while something is killed at moments drawn from `random`, and holds what came of it against
 * what must: the right output, each call settled once, none executed again after it had settled.
 */
export async function runUnderFire(salt: Place, fire: Fire): Promise<UnderFire> {
  const effects = path.join(await mkdtemp(path.join(salt.folder, "effects-")), "executions");
  const shape = fire.shape ?? thousand;
  const expected = expectedOutput(shape);
  const timeoutMs = fire.timeoutMs ?? 60_000;
  const startedAtMs = performance.now();
  const { id } = await salt.open(fire.workflow ?? "journeys/wave", { ...shape, effects, paceMs: fire.paceMs ?? 8 });
  const moments = Array.from({ length: fire.kills }, () => Math.floor(fire.random() * expected.tasks * 0.98));
  const settledByMs = new Map<string, number>();
  const seen: JournalRow[] = [];
  const look = async () => {
    const grown = await journalNow(salt, id, seen.at(-1)?.position ?? 0);
    seen.push(...grown);
    for (const key of settledCounts(grown).keys()) settledByMs.set(key, Date.now());
    return grown.length > 0 || seen.at(-1)?.e === "ended";
  };
  let barren = 0;
  for (const moment of moments.sort((a, b) => a - b)) {
    await until(`${moment} tasks have begun`, () => executionsIn(effects).length >= moment, timeoutMs).catch(
      async (error: Error) => {
        throw new Error(`${error.message} ${await standingOf(salt, id)}`);
      },
    );
    await sleep(fire.random() * 30);
    barren = (await look()) ? 1 : barren + 1;
    if (barren > barrenKillsMax) {
      await until("the journal has grown", look, timeoutMs);
      barren = 1;
    }
    const atMs = Math.round(performance.now() - startedAtMs);
    console.info(`  ${atMs} ms, ${executionsIn(effects).length} executions: killed ${await fire.kill(id)}`);
    // The kill may have waited for something to kill: what came meanwhile is not from after it.
    await look();
  }
  const run = await salt.settled(id, undefined, timeoutMs);
  const tookMs = Math.round(performance.now() - startedAtMs);
  const { attempts } = await salt.client.call("getTask", { params: { run: id, key: "@workflow" } });
  expect(run, JSON.stringify({ failure: run.failure, attempts })).toMatchObject({ status: "succeeded" });
  expect(await outputOf(salt, id)).toEqual(expected);
  const executions = executionsIn(effects);
  const journal = await readJournal(salt, id);
  expect(journal.slice(0, seen.length), "what the API had answered is still so").toEqual(seen);
  await expectSettledOnce(salt, journal, { run: id, tasks: expected.tasks, executed: executions });
  const again = executions.filter(({ key, atMs }) => (settledByMs.get(key) ?? Number.POSITIVE_INFINITY) < atMs);
  expect(again, "what had settled was executed again").toEqual([]);
  console.info(`  succeeded in ${tookMs} ms with ${executions.length} executions`);
  return { run, tasks: expected.tasks, executions: executions.length, tookMs };
}

/** For whoever reads a failure: the run, and the tasks that have not settled. */
async function standingOf(salt: Place, run: string): Promise<string> {
  const view = await salt.client.call("getRun", { params: { run } });
  const open = (await tasksOf(salt, run)).filter(({ status }) => status !== "succeeded");
  return `The run: ${JSON.stringify(view)}. Its open tasks: ${JSON.stringify(open.slice(0, 10))}, ${open.length} in all.`;
}

/** What follows a position; nothing where no coordinator answers. */
const journalNow = (salt: Place, run: string, after: number): Promise<JournalRow[]> =>
  readJournal(salt, run, after).catch(() => []);

async function outputOf({ client }: Place, run: string): Promise<unknown> {
  return JSON.parse(await readText(await client.open("getOutput", { params: { run } })));
}

async function expectSettledOnce(
  salt: Place,
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
