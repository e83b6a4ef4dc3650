import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { z } from "zod";
import { buildProject } from "#cli/build/build-project.ts";
import { findInterpreters } from "#cli/build/python/find-interpreters.ts";
import type { Client } from "#cli/client.ts";
import { registerProject } from "#cli/register-project.ts";
import { runProcess } from "#cli/run-process.ts";
import { haveRedis, startRedis } from "../tests/support/redis-server.ts";
import { type BenchDeps, type Measured, using } from "./bench.ts";
import { benchCache, saltFolder } from "./folders.ts";
import { type Celery, startCelery } from "./python/start-celery.ts";
import { type Row, rowOf } from "./rows.ts";
import { nearEnd, runToOutput } from "./runs.ts";
import { startSalt } from "./start-salt.ts";
import { quantile } from "./statistics.ts";

/** A fresh task costs a process, so that there are fewer of them. */
const freshPart = 0.05;
const firstRoundsMax = 3;

interface Program {
  readonly python: string;
  readonly pex: string;
}

interface Round {
  readonly bareMs: number;
  readonly pexMs: number;
  readonly warm: Kind;
  readonly fresh: Kind;
  readonly celery: Kind;
}

interface Kind {
  readonly perSecond: number;
  readonly callsMs: readonly number[];
}

/** Python tasks, first, warm and fresh, beside Python itself, the same PEX by itself, and Celery over the same Redis. */
export async function benchPython(deps: BenchDeps): Promise<Measured> {
  if (!haveRedis()) return { problems: [], rows: [] };
  return await using(async (closing) => {
    const program = await buildPython(deps);
    const redis = await startRedis({ appendfsync: "everysec" });
    closing(redis.close);
    const salt = await startSalt({ ...deps, redis: redis.url });
    closing(salt.close);
    await registerProject({ client: salt.client, onUpload: () => undefined }, program.built);
    const celery = await startCelery(program.python, redis.url.replace(/\/?$/, "/1"));
    closing(celery.close);
    const firsts: { salt: number; pex: number }[] = [];
    for (let round = 1; round <= Math.min(firstRoundsMax, deps.rounds); round += 1) {
      await salt.renewAgent();
      firsts.push({ salt: await timed(() => chainOf(salt.client, 1, "warm")), pex: await firstPex(program) });
    }
    const measure = () => roundOf({ client: salt.client, program, celery }, deps);
    await measure();
    const rounds: Round[] = [];
    for (let round = 1; round <= deps.rounds; round += 1) {
      rounds.push(await measure());
      deps.say(`python: round ${round} of ${deps.rounds}`);
    }
    return { problems: [], rows: [...firstRows(firsts), ...rowsOf(rounds)] };
  });
}

async function buildPython(deps: BenchDeps) {
  const folder = path.join(benchCache, "python");
  await cp(path.join(import.meta.dirname, "python", "project"), folder, { recursive: true });
  const env = { ...process.env, SALT_CACHE: path.join(saltFolder, "node_modules", ".cache", "salt") };
  const built = await buildProject({ env, nowMs: Date.now, say: deps.say }, { folder });
  const { value: interpreter } = await findInterpreters(env).next();
  return { built, python: interpreter?.file ?? "python3", pex: built.binaries[0]?.file ?? "" };
}

async function roundOf(
  { client, program, celery }: { client: Client; program: Program; celery: Celery },
  { sizes }: BenchDeps,
): Promise<Round> {
  const root = path.join(benchCache, "pex-root");
  await runPex(program, root);
  const few = (count: number) => Math.max(1, Math.ceil(count * freshPart));
  const warm = await kindOf(client, { tasks: sizes.tasks, calls: sizes.calls, kind: "warm" });
  const theirs = await celery.measure(sizes.tasks, sizes.calls);
  return {
    bareMs: await timed(() => run([program.python, "-c", "pass"])),
    pexMs: await timed(() => runPex(program, root)),
    warm,
    fresh: await kindOf(client, { tasks: few(sizes.tasks), calls: few(sizes.calls), kind: "fresh" }),
    celery: { perSecond: sizes.tasks / (theirs.fanOutMs / 1000), callsMs: theirs.callsMs },
  };
}

async function kindOf(
  client: Client,
  { tasks, calls, kind }: { tasks: number; calls: number; kind: "warm" | "fresh" },
): Promise<Kind> {
  const fanOutMs = await timed(async () => {
    const sum = await runToOutput(client, "benched/fan_out", { tasks, kind }, nearEnd(tasks));
    if (sum !== (tasks * (tasks - 1)) / 2) throw new Error(`A fan-out of ${tasks} Python tasks gave the sum ${sum}.`);
  });
  return { perSecond: tasks / (fanOutMs / 1000), callsMs: await chainOf(client, calls, kind) };
}

const chainOf = async (client: Client, calls: number, kind: string): Promise<readonly number[]> =>
  z.array(z.number()).parse(await runToOutput(client, "benched/chain", { calls, kind }, nearEnd(calls)));

/** The PEX by itself where nothing of it has been unpacked. */
async function firstPex(program: Program): Promise<number> {
  const root = await mkdtemp(path.join(tmpdir(), "salt-bench-pex-"));
  try {
    return await timed(() => runPex(program, root));
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

const runPex = ({ python, pex }: Program, root: string) => run([python, pex, "describe"], { PEX_ROOT: root });

async function run(command: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<void> {
  const end = await runProcess(command, { cwd: "/", env: { ...process.env, ...env }, timeoutMs: 60_000 });
  if (end.status !== 0) throw new Error(`${command.join(" ")} ended with ${end.status}: ${end.stderr}`);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}

const firstRows = (firsts: readonly { readonly salt: number; readonly pex: number }[]): Row[] => [
  rowOf(
    { bench: "python", metric: "first", unit: "ms" },
    firsts.map(({ salt }) => salt),
    { name: "pex", rounds: firsts.map(({ pex }) => pex) },
  ),
];

function rowsOf(rounds: readonly Round[]): Row[] {
  const row = (metric: string, unit: Row["unit"], read: (round: Round) => number, peer?: [string, typeof read]) =>
    rowOf({ bench: "python", metric, unit }, rounds.map(read), peer && { name: peer[0], rounds: rounds.map(peer[1]) });
  const call = (kind: "warm" | "fresh", part: number) =>
    row(`${kind}.call.p${part * 100}`, "ms", (round) => quantile(round[kind].callsMs, part), [
      "celery",
      ({ celery }) => quantile(celery.callsMs, part),
    ]);
  const tasks = (kind: "warm" | "fresh") =>
    row(`${kind}.tasks`, "tasks/s", (round) => round[kind].perSecond, ["celery", ({ celery }) => celery.perSecond]);
  const p50 = ({ fresh }: Round) => quantile(fresh.callsMs, 0.5);
  return [
    row("fresh.beside_python", "ms", p50, ["python -c", ({ bareMs }) => bareMs]),
    row("fresh.beside_pex", "ms", p50, ["pex", ({ pexMs }) => pexMs]),
    ...(["warm", "fresh"] as const).flatMap((kind) => [tasks(kind), call(kind, 0.5), call(kind, 0.99)]),
  ];
}
