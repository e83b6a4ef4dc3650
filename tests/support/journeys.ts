import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, readFile, rmdir, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { registerProject } from "#cli/register-project.ts";
import type { JournalRow, RegisteredRelease, TaskView } from "#shared/protocol/api.ts";
import { type Manifest, manifestSchema } from "#shared/protocol/manifest.ts";
import { privateEnv, runSalt, saltFolder, testCache } from "./salt-process.ts";
import { expectUntold } from "./secrets.ts";
import { SeededRandom } from "./seeded-random.ts";
import { type Salt, type StartSaltOptions, startSalt } from "./start-salt.ts";

const project = path.join(saltFolder, "tests", "journeys", "project");
const lock = path.join(testCache, "journeys.lock");
const builtBy = path.join(testCache, "journeys.built");

export interface Journeys extends Salt {
  readonly manifest: Manifest;
  readonly registered: RegisteredRelease;
}

/** Salt with the project of the journeys registered. */
export async function startJourneys(options: StartSaltOptions = {}): Promise<Journeys> {
  const manifest = await buildJourneys();
  const secrets: string[] = [];
  const salt = await startSalt({ ...options, inspect: (ended) => expectUntold(ended, secrets) });
  const registered = await registerJourneys(salt, manifest);
  secrets.push(...registered.triggers.flatMap(({ secret }) => secret ?? []));
  return Object.assign(salt, { manifest, registered });
}

/** Builds the project in its place, once in a run of the tests; a build of the same sources is found again. */
export async function buildJourneys(): Promise<Manifest> {
  await mkdir(testCache, { recursive: true });
  await until("no other test builds the project", () => takeLock(), 120_000);
  try {
    const before = await readFile(builtBy, "utf8").catch(() => null);
    if (before !== thisRun()) await build();
  } finally {
    await rmdir(lock);
  }
  return manifestSchema.parse(JSON.parse(await readFile(path.join(project, "dist", "manifest.json"), "utf8")));
}

async function build(): Promise<void> {
  const built = await runSalt(["build", project], { cwd: saltFolder, env: privateEnv(testCache) });
  if (built.code !== 0) throw new Error(`The project of the journeys cannot be built:\n${built.stderr}`);
  await writeFile(builtBy, thisRun());
}

/** What the processes of one run of the tests have in common: their parent, by its id and the time of its start. */
function thisRun(): string {
  const stat = readFileSync(`/proc/${process.ppid}/stat`, "latin1");
  return `${process.ppid} ${stat.slice(stat.lastIndexOf(")")).split(" ")[20]}`;
}

const staleLockMs = 90_000;

async function takeLock(): Promise<boolean> {
  try {
    await mkdir(lock);
    return true;
  } catch {
    const madeAtMs = (await stat(lock).catch(() => null))?.mtimeMs ?? 0;
    if (madeAtMs < Date.now() - staleLockMs) await rmdir(lock).catch(() => undefined);
    return false;
  }
}

/** Registers it, perhaps with something else in its manifest. */
export async function registerJourneys(
  { client }: Pick<Salt, "client">,
  manifest: Manifest,
): Promise<RegisteredRelease> {
  const binaries = Object.entries(manifest.binaries).map(([platform, { sha256, bytes }]) => ({
    platform: platform as keyof Manifest["binaries"],
    file: path.join(project, "dist", platform, "main"),
    sha256,
    bytes,
    reused: true,
  }));
  const built = { manifest, binaries } as unknown as Parameters<typeof registerProject>[1];
  return await registerProject({ client, onUpload: () => undefined }, built);
}

/** Waits until something holds; the error says what did not. Default at most 20 s. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, timeoutMs = 20_000): Promise<void> {
  const byMs = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > byMs) throw new Error(`It did not come to pass within ${timeoutMs} ms that ${what}.`);
    await sleep(15);
  }
}

/** The journal of a run, after a position. */
export async function readJournal({ client }: Pick<Salt, "client">, run: string, from = 0): Promise<JournalRow[]> {
  const rows: JournalRow[] = [];
  for (;;) {
    const after = rows.at(-1)?.position ?? from;
    const page = await client.call("readJournal", { params: { run }, query: { after, limit: 500 } });
    rows.push(...page.rows);
    if (page.cursor === null || page.rows.length === 0) return rows;
  }
}

/** How often each call was settled. */
export function settledCounts(journal: readonly JournalRow[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { e, key = "" } of journal) if (e === "settled") counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}

/** All tasks of a run. */
export async function tasksOf({ client }: Pick<Salt, "client">, run: string): Promise<TaskView[]> {
  const rows: TaskView[] = [];
  let cursor: string | null = null;
  do {
    const query: { limit: number; cursor?: string } = { limit: 500, ...(cursor === null ? {} : { cursor }) };
    const page = await client.call("listTasks", { params: { run }, query });
    rows.push(...page.rows);
    cursor = page.cursor;
  } while (cursor !== null);
  return rows;
}

export interface Execution {
  readonly key: string;
  readonly run: string;
  readonly atMs: number;
  readonly pid: number;
}

/** The executions that tasks themselves noted in a file. */
export function executionsIn(file: string): Execution[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => {
    const [, task = "", atMs, pid] = /^(.*) (\d+) (\d+)$/.exec(line) ?? [];
    return { run: task.slice(0, 32), key: task.slice(33), atMs: Number(atMs), pid: Number(pid) };
  });
}

export interface ProgramProcess {
  readonly pid: number;
  readonly kind: "task" | "workflow";
}

/** The programs that the agents' folders know of, and that live. */
export function livingPrograms(salt: Pick<Salt, "folder">): ProgramProcess[] {
  return readdirSync(salt.folder).flatMap((agent) => {
    const processes = path.join(salt.folder, agent, "processes");
    if (!existsSync(processes)) return [];
    return readdirSync(processes).flatMap((name) => {
      const read = (file: string) => JSON.parse(readFileSync(path.join(processes, name, file), "utf8"));
      try {
        const pid: number = read("identity.json").pid;
        return isAlive(pid) ? [{ pid, kind: read("record.json").pool.kind }] : [];
      } catch {
        return [];
      }
    });
  });
}

/** Whether a process lives; one that has ended and was not waited for does not. */
export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}

/** Resident memory of a process, in bytes. */
export function memoryOf(pid: number): number {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]);
  return pages * 4096;
}

/**
 * Numbers in [0, 1) from a seed, which is printed so that a failure can be had again: `SALT_SEED=<seed>`. Each `what`
 * has numbers of its own.
 */
export function seededRandom(what: string): () => number {
  const seed = Number(process.env.SALT_SEED ?? Date.now() % 1_000_000);
  console.info(`${what}: SALT_SEED=${seed}`);
  const random = new SeededRandom(createHash("sha256").update(`${seed} ${what}`).digest().readUInt32LE());
  return () => random.float();
}
