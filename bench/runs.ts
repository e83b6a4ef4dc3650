import type { Client } from "#cli/client.ts";
import { readText } from "#cli/client.ts";
import { readEvents } from "#cli/server-events.ts";

const endWithinMs = 120_000;

/** A workflow of the benchmark's project, or, as `project/workflow`, of another. */
export async function openRun(client: Client, workflow: string, input?: unknown): Promise<string> {
  const [name = "", project = "bench"] = workflow.split("/").reverse();
  const body = { project, workflow: name, ...(input === undefined ? {} : { input }) };
  return (await client.call("openRun", { body })).id;
}

/**
 * Follows a run's journal after a position, which has to be before its end. The promise within resolves when the run has
 * ended.
 */
export async function followRun(client: Client, run: string, after = 0): Promise<{ readonly ended: Promise<void> }> {
  const signal = AbortSignal.timeout(endWithinMs);
  const stream = await client.open("followJournal", { params: { run }, query: { after }, signal });
  const readToEnd = async () => {
    for await (const event of readEvents(stream)) if (event.event === "end") return;
    throw new Error(`The stream of run ${run} broke off.`);
  };
  return { ended: readToEnd() };
}

/** The output of a run that has succeeded. */
export async function readOutput(client: Client, run: string): Promise<unknown> {
  return JSON.parse(await readText(await client.open("getOutput", { params: { run } })));
}

/**
 * Where to follow a fan-out from: its journal has two entries a task, and whoever waits for the last ones alone costs
 * nothing meanwhile.
 */
export const nearEnd = (tasks: number): number => Math.max(0, 2 * tasks - 50);

/** Opens a run and waits for its output, following its journal after a position. */
export async function runToOutput(client: Client, workflow: string, input?: unknown, after = 0): Promise<unknown> {
  const run = await openRun(client, workflow, input);
  const { ended } = await followRun(client, run, after);
  await ended;
  return await readOutput(client, run);
}

/** How many tasks of a run its journal says have succeeded; NaN when it says so of one of them twice. */
export async function countSettled(client: Client, run: string): Promise<number> {
  const keys = new Set<string>();
  for (let after = 0; ; ) {
    const { rows } = await client.call("readJournal", { params: { run }, query: { after, limit: 500 } });
    for (const { e, key = "", outcome } of rows) {
      if (e !== "settled" || outcome !== "succeeded") continue;
      if (keys.has(key)) return Number.NaN;
      keys.add(key);
    }
    const last = rows.at(-1);
    if (last === undefined) return keys.size;
    after = last.position;
  }
}
