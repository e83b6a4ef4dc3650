import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { findPython, requirePython } from "../tests/support/python-project.ts";
import { haveRedis } from "../tests/support/redis-server.ts";
import { usualSizes } from "./bench.ts";
import { judgeDelivery } from "./fanout.ts";
import { canReadProcesses } from "./processes.ts";
import { haveRestate } from "./restate/start-restate.ts";
import { type BenchName, benchNames, jsonLines, type Row, rowOf } from "./rows.ts";
import { type BenchRequest, runBenches } from "./run-benches.ts";

const sizes = { ...usualSizes, tasks: 200, calls: 50, runs: 5, setups: 1, agents: [20], idleMs: 200, parked: 5 };

async function runSmall(request: Partial<BenchRequest>, fanOutWorkflow = "fan-out") {
  const lines: string[] = [];
  const said: string[] = [];
  const output = { print: (line: string) => lines.push(line), say: (line: string) => said.push(line) };
  const status = await runBenches(
    { ...output, sizes, fanOutWorkflow },
    { names: [], rounds: 1, json: true, ...request },
  );
  return { status, lines, said: said.join("\n") };
}

/** CPU time of a small fan-out may be less than a tick of the kernel's clock, and so 0. */
const lineSchema = z.strictObject({
  bench: z.enum(benchNames),
  metric: z.string(),
  /** Below 0 only where memory was given back meanwhile. */
  value: z.number(),
  unit: z.string(),
  peer: z.string().exactOptional(),
  peerValue: z.number().nonnegative().exactOptional(),
  ratio: z.number().nonnegative().exactOptional(),
  ratioMin: z.number().nonnegative().exactOptional(),
  ratioMax: z.number().nonnegative().exactOptional(),
});

const fanoutMetrics = [
  "fanout tasks",
  "fanout cpu",
  "fanout cpu.coordinator",
  "fanout cpu.agent",
  "fanout cpu.programs",
];

test("a small fan-out and a small chain of calls print one object a line and nothing else, under stable names", {
  timeout: 60_000,
}, async () => {
  const { status, lines } = await runSmall({ names: ["call", "fanout"] });
  const rows = lines.map((line) => lineSchema.parse(JSON.parse(line)));
  expect(status).toBe(0);
  expect(rows.map(({ bench, metric }) => `${bench} ${metric}`)).toEqual([
    ...(canReadProcesses ? fanoutMetrics : fanoutMetrics.slice(0, 1)),
    "call p50",
    "call p99",
  ]);
  expect(rows.filter(({ peer }) => peer === "bare").map(({ metric }) => metric)).toEqual(
    canReadProcesses ? ["tasks", "cpu", "p50", "p99"] : ["tasks", "p50", "p99"],
  );
});

test("a fan-out that loses a task makes its rows void, and the exit status 1", { timeout: 60_000 }, async () => {
  const { status, lines, said } = await runSmall({ names: ["fanout"] }, "fan-out-short");
  expect(status).toBe(1);
  expect(lines.map((line) => JSON.parse(line).value)).toEqual(lines.map(() => null));
  expect(lines.length).toBeGreaterThan(0);
  expect(said).toContain("void: A fan-out of 200 tasks gave the sum 19701, not 19900.");
});

const cpuMetric = canReadProcesses ? ["cpu"] : [];

async function metricsOf(name: BenchName): Promise<string[]> {
  const { status, lines } = await runSmall({ names: [name] });
  expect(status).toBe(0);
  return lines.map((line) => lineSchema.parse(JSON.parse(line)).metric);
}

test.skipIf(!haveRedis())("the redis engine passes the moves of a fan-out, beside plain commands", async () => {
  expect(await metricsOf("engine.redis")).toEqual([
    ...["batches_of_100", "batches_of_1", "commit_of_100.p50", "commit_of_1.p50", "cpu.redis"],
  ]);
});

const bullmqCpu = canReadProcesses ? ["cpu", "cpu.awaited"] : [];
const bullmqMetrics = ["tasks", "tasks.awaited", ...bullmqCpu, "call.p50", "call.p99", "redis.ping"];

test.skipIf(!haveRedis())(
  "Salt and BullMQ pass the same tasks over the same Redis, near and far",
  { timeout: 120_000 },
  async () => {
    expect(await metricsOf("bullmq")).toEqual([...bullmqMetrics, ...bullmqMetrics.map((metric) => `5ms.${metric}`)]);
  },
);

test.skipIf(!haveRestate())("Salt and Restate take the same durable steps", { timeout: 60_000 }, async () => {
  expect(await metricsOf("restate")).toEqual([
    "steps",
    ...cpuMetric,
    ...["step.p50", "step.p99", "run.p50", "run.p99", "runs"],
  ]);
});

const agentMetrics = ["memory", "cpu_of_heartbeat", "cpu_of_renewal", "hand_over.p50", "hand_over.p99"];

test.skipIf(!canReadProcesses)(
  "light agents are connected, each is handed the task that is for it alone, and all keep and renew one",
  { timeout: 90_000 },
  async () => {
    const of = (engine: string) =>
      [...agentMetrics, "hand_over.first.p50", "hand_over.first.p99"].map((metric) => `${engine}20.${metric}`);
    expect(await metricsOf("agents")).toEqual([...of(""), ...(haveRedis() ? of("redis.") : [])]);
  },
);

test.skipIf(!haveRedis() || !canReadProcesses)(
  "what runs and agents take of a Redis is measured",
  { timeout: 90_000 },
  async () => {
    expect(await metricsOf("redis.size")).toEqual([
      ...["task", "task.file", "journal_entry", "run", "run.file", "parked_run", "parked_run.file"],
      ...["coordinator.cpu", "20.agent", "20.idle.cpu", "20.renewal.cpu"],
    ]);
  },
);

const python = await findPython();
requirePython(python);

test.skipIf(!haveRedis() || python === null)(
  "tasks in Python are beside Python itself, their PEX, and Celery over the same Redis",
  { timeout: 300_000 },
  async () => {
    const metrics = (kind: string) => ["tasks", "call.p50", "call.p99"].map((metric) => `${kind}.${metric}`);
    expect(await metricsOf("python")).toEqual([
      ...["first", "fresh.beside_python", "fresh.beside_pex"],
      ...[...metrics("warm"), ...metrics("fresh")],
    ]);
  },
);

describe("exact delivery", () => {
  test("is each output in the sum, and each task settled once", () => {
    expect(judgeDelivery(4, { sum: 6, settled: 4 })).toBeNull();
    expect(judgeDelivery(4, { sum: 7, settled: 4 })).toContain("the sum 7, not 6");
    expect(judgeDelivery(4, { sum: 6, settled: 3 })).toContain("3 settled");
    expect(judgeDelivery(4, { sum: 6, settled: Number.NaN })).toContain("NaN settled");
  });
});

describe("a row", () => {
  const row: Row = {
    bench: "fanout",
    metric: "tasks",
    value: 500,
    unit: "tasks/s",
    peer: { name: "bare", value: 1_000 },
  };

  test("has a ratio above 1 where Salt is better, whichever way is better", () => {
    const ratios = [row, { ...row, unit: "ms" as const }].map((each) => JSON.parse(jsonLines(each)[0] ?? "").ratio);
    expect(ratios).toEqual([0.5, 2]);
  });

  test("has the lowest and the highest ratio of rounds that were made beside each other", () => {
    const place = { bench: "fanout", metric: "tasks", unit: "tasks/s" } as const;
    const paired = rowOf(place, [400, 600], { name: "bare", rounds: [1_000, 500] });
    expect(JSON.parse(jsonLines(paired)[0] ?? "")).toMatchObject({ ratioMin: 0.4, ratioMax: 1.2 });
  });

  test("prints its range as rows of their own", () => {
    expect(jsonLines({ ...row, range: [400, 600] }).map((line) => JSON.parse(line))).toEqual([
      { bench: "fanout", metric: "tasks", value: 500, unit: "tasks/s", peer: "bare", peerValue: 1_000, ratio: 0.5 },
      { bench: "fanout", metric: "tasks.min", value: 400, unit: "tasks/s" },
      { bench: "fanout", metric: "tasks.max", value: 600, unit: "tasks/s" },
    ]);
  });
});

test.each([
  [["fan"], "fanout, call, run, memory, engine.sqlite, engine.redis, bullmq, restate, agents, redis.size"],
  [["--rounds", "0"], "from 1 to 100"],
  [["--jsno"], "--jsno"],
])("the arguments %j are refused, on stderr alone", async (args, said) => {
  const main = path.join(import.meta.dirname, "main.ts");
  const end = await promisify(execFile)(process.execPath, [main, ...args]).catch((error) => error);
  expect(end).toMatchObject({ code: 2, stdout: "" });
  expect(end.stderr).toContain(said);
});
