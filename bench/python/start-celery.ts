import { stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import path from "node:path";
import { z } from "zod";
import { runProcess } from "#cli/run-process.ts";
import { benchCache } from "../folders.ts";
import { startProgram } from "../server-process.ts";

const pinned = "celery[redis]==5.5.3";
const roundTimeoutMs = 300_000;
const measuredSchema = z.object({ fanOutMs: z.number(), callsMs: z.array(z.number()) });

/** Celery's prefork workers, as many as there are cores, over a Redis. */
export interface Celery {
  /** So many tasks at once, then so many awaited one after another. */
  measure(tasks: number, calls: number): Promise<z.infer<typeof measuredSchema>>;
  close(): Promise<void>;
}

export async function startCelery(interpreter: string, redisUrl: string): Promise<Celery> {
  const python = await celeryPython(interpreter);
  const folder = import.meta.dirname;
  const env = { PATH: process.env.PATH, HOME: benchCache, REDIS_URL: redisUrl, PYTHONDONTWRITEBYTECODE: "1" };
  const worker = ["-m", "celery", "-A", "celery_peer", "worker", "--pool", "prefork", "--loglevel", "INFO"];
  const args = [...worker, "--concurrency", String(availableParallelism()), "--without-gossip", "--without-mingle"];
  const server = startProgram(python, { cwd: folder, env, args }, "celery");
  await server.said(/ready\./);
  return {
    async measure(tasks, calls) {
      const command = [python, path.join(folder, "celery_peer.py"), String(tasks), String(calls)];
      const end = await runProcess(command, { cwd: folder, env, timeoutMs: roundTimeoutMs });
      if (end.status !== 0) throw new Error(`Celery did not carry out its tasks: ${end.stderr}`);
      return measuredSchema.parse(JSON.parse(end.stdout));
    },
    close: () => server.stop(),
  };
}

/** The Python of a virtual environment with Celery from PyPI, made once. */
async function celeryPython(interpreter: string): Promise<string> {
  const made = path.join(benchCache, "celery");
  const python = path.join(made, "bin", "python");
  if (await stat(path.join(made, "bin", "celery")).catch(() => null)) return python;
  for (const command of [
    [interpreter, "-m", "venv", "--clear", made],
    [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", pinned],
  ]) {
    const end = await runProcess(command, { cwd: "/", timeoutMs: roundTimeoutMs });
    if (end.status !== 0) throw new Error(`Celery cannot be installed: ${end.stderr}`);
  }
  return python;
}
