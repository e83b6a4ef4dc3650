/**
 * The moves of a fan-out of small tasks as an engine gets them, and the rows of theirs that stay. Both the engine and its
 * peer are given the same texts.
 */
import { keyIn, leaseKey, type Transaction } from "#coordinator/engine/engine.ts";
import { partitionAt } from "#shared/domain/ids.ts";

export const partition = partitionAt(0);
export const queue = '["default","linux-x64",{},{}]';
const run = "run_0001k3v9q8zc7x5b2m4n6p8r0stv";
/** About what a task's record and a journal entry take. */
export const record = JSON.stringify({ run, input: { json: "x".repeat(100) }, options: "x".repeat(500) });
export const entry = JSON.stringify({ e: "called", digest: "0".repeat(64), name: "score", kind: "task" });

export const taskName = (load: string, n: number): string => `${run}/${load}#${n}`;
export const taskKey = (task: string) => keyIn(partition, `task/${task}`);
export const journal = keyIn(partition, `journal/${run}`);
export const tasks = keyIn(partition, `tasks/${run}`);
const count = (state: string) => keyIn(partition, `counts/${run}/${state}`);

let stamps = 0;
const stamp = () => `b7f3/${++stamps}`;
const stampsOfTasks = new Map<string, string>();

export function publish(task: string): Transaction {
  const written = stamp();
  stampsOfTasks.set(task, written);
  return {
    checks: [{ kind: "stamp", key: taskKey(task), stamp: null }],
    writes: [
      { kind: "set", key: taskKey(task), stamp: written, value: record },
      { kind: "append", log: journal, value: entry },
      { kind: "rank", index: tasks, member: task, score: { nowPlusMs: 0 } },
      { kind: "enqueue", queue, member: task, score: { nowPlusMs: 0 } },
      { kind: "add", counter: count("ready"), delta: 1 },
    ],
  };
}

export function settle(task: string, fence: number): Transaction {
  const published = stampsOfTasks.get(task) ?? null;
  stampsOfTasks.delete(task);
  return {
    checks: [
      { kind: "stamp", key: taskKey(task), stamp: published },
      { kind: "stamp", key: leaseKey(partition, task), stamp: String(fence) },
    ],
    writes: [
      { kind: "set", key: taskKey(task), stamp: stamp(), value: record },
      { kind: "append", log: journal, value: entry },
      { kind: "release", member: task },
      { kind: "add", counter: count("ready"), delta: -1 },
      { kind: "add", counter: count("succeeded"), delta: 1 },
    ],
  };
}
