import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { type BenchDeps, type Measured, using } from "./bench.ts";
import { openParked } from "./parked.ts";
import { canReadProcesses, childrenOf, residentBytes } from "./processes.ts";
import { type Row, rowOf } from "./rows.ts";
import { nearEnd, runToOutput } from "./runs.ts";
import { type Salt, startSalt } from "./start-salt.ts";

/** What is measured is what stays: processes have so long to come to rest. */
const restMs = 3_000;
/** Parked before the runs that count, so that code and caches are there. */
const warmUpParked = 100;
const mib = 1024 ** 2;

/** Resident memory, once. Of a parked run: what a thousand of them add, by the thousand. */
export async function benchMemory(deps: BenchDeps): Promise<Measured> {
  if (!canReadProcesses) {
    deps.say("memory: not measured, for this system has no /proc");
    return { problems: [], rows: [] };
  }
  return { problems: [], rows: [...(await measureProcesses(deps)), ...(await measureParked(deps))] };
}

const row = (metric: string, bytes: number): Row => rowOf({ bench: "memory", metric, unit: "MiB" }, [bytes / mib]);

async function measureProcesses(deps: BenchDeps): Promise<Row[]> {
  return await using(async (closing) => {
    const salt = await startSalt(deps);
    closing(salt.close);
    const [coordinator, agent] = await atRest(salt);
    const idle = [row("coordinator.idle", coordinator), row("agent.idle", agent)];
    await runToOutput(salt.client, "one", 1);
    await sleep(restMs);
    const programs = [
      row("task_process", programBytes(salt, "task")),
      row("workflow_process", programBytes(salt, "workflow")),
    ];
    deps.say("memory: the fan-out");
    const { tasks } = deps.sizes;
    await runToOutput(salt.client, "fan-out", { tasks }, nearEnd(tasks));
    const [coordinatorAfter, agentAfter] = await atRest(salt);
    return [
      ...idle,
      ...programs,
      row("coordinator.after_fanout", coordinatorAfter),
      row("agent.after_fanout", agentAfter),
    ];
  });
}

async function measureParked(deps: BenchDeps): Promise<Row[]> {
  return await using(async (closing) => {
    const salt = await startSalt(deps);
    closing(salt.close);
    await openParked(salt.client, Math.min(warmUpParked, deps.sizes.parked));
    const before = await atRest(salt);
    deps.say("memory: parked runs");
    await openParked(salt.client, deps.sizes.parked);
    const after = await atRest(salt);
    const perRun = (metric: string, bytes: number) =>
      rowOf({ bench: "memory", metric, unit: "KiB" }, [bytes / 1024 / deps.sizes.parked]);
    return [perRun("parked_run.coordinator", after[0] - before[0]), perRun("parked_run.agent", after[1] - before[1])];
  });
}

/** Resident bytes of the coordinator and of the agent. */
async function atRest(salt: Salt): Promise<readonly [coordinator: number, agent: number]> {
  await sleep(restMs);
  return [residentBytes(salt.coordinator.pid), residentBytes(salt.agent().pid)];
}

const recordSchema = z.object({ pool: z.object({ kind: z.string() }) });
const identitySchema = z.object({ pid: z.number() });

/** Of the first process of a kind. The agent's own notes say which is which; a program is the child of its wrapper. */
function programBytes(salt: Salt, kind: "task" | "workflow"): number {
  const processes = path.join(salt.agentFolder(), "processes");
  for (const name of readdirSync(processes)) {
    const read = (file: string): unknown => JSON.parse(readFileSync(path.join(processes, name, file), "utf8"));
    if (recordSchema.parse(read("record.json")).pool.kind !== kind) continue;
    const [program] = childrenOf(identitySchema.parse(read("identity.json")).pid);
    if (program !== undefined) return residentBytes(program);
  }
  throw new Error(`The agent has no ${kind} process.`);
}
