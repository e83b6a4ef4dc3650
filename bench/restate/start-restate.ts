import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import * as clients from "@restatedev/restate-sdk-clients";
import { startChild } from "../child.ts";
import { cpuMicros } from "../processes.ts";
import { startProgram } from "../server-process.ts";
import type { Bench } from "./service.ts";

type BenchClient = ReturnType<typeof clientOf>;
const clientOf = (url: string) => clients.connect({ url }).serviceClient<Bench>({ name: "bench" });

/** A Restate server with the settings that it comes with, and a process that serves the benchmark's handlers. */
export interface Restate {
  readonly bench: BenchClient;
  /** User and system time of both processes, in microseconds. */
  cpuMicros(): number;
  close(): Promise<void>;
}

const missing = "the server of Restate is missing: npm install @restatedev/restate-server";

/** Whether there is one here. Where everything must be tested (`CI=true`) a missing one is an error. */
export function haveRestate(): boolean {
  if (findRestate() !== null) return true;
  if (process.env.CI === "true") throw new Error(missing);
  console.warn(`Skipped: ${missing}.`);
  return false;
}

/** Where it is, or null where its package has none for this system. */
function findRestate(): string | null {
  const name = `@restatedev/restate-server-${process.platform}-${process.arch}`;
  try {
    const file = path.join(
      path.dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)),
      "bin",
      "restate-server",
    );
    return existsSync(file) ? file : null;
  } catch {
    return null;
  }
}

export async function startRestate(): Promise<Restate> {
  const file = findRestate();
  if (file === null) throw new Error(missing);
  const folder = await mkdtemp(path.join(tmpdir(), "salt-restate-"));
  const args = ["--no-logo", "--use-random-ports", "true", "--bind-ip", "127.0.0.1", "--listen-mode", "tcp"];
  const server = startProgram(
    file,
    {
      args: [...args, "--node-name", "bench", "--base-dir", folder],
      cwd: folder,
      // Its word for it: nothing is sent to its maker.
      env: { PATH: process.env.PATH, RESTATE_DISABLE_TELEMETRY: "true", RESTATE_LOG_DISABLE_ANSI_CODES: "true" },
    },
    "restate-server",
  );
  const portOf = async (name: string) => {
    const [, port] = await server.said(new RegExp(`${name}\\s+server\\.address: \\S+\\s+server\\.port: (\\d+)`));
    return Number(port);
  };
  const [ingress, admin] = [await portOf("http-ingress-server"), await portOf("admin-api-server")];
  const service = await startChild(path.join(import.meta.dirname, "service.ts"));
  await register(admin, (service.greeting as { port: number }).port);
  return {
    bench: clientOf(`http://127.0.0.1:${ingress}`),
    cpuMicros: () => cpuMicros(server.pid) + cpuMicros(service.pid),
    async close() {
      await service.stop();
      await server.stop();
      await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}

const readyWithinMs = 20_000;

/** Tells the server where the handlers are. Right after its start it may not yet take that. */
async function register(adminPort: number, servicePort: number): Promise<void> {
  const byMs = performance.now() + readyWithinMs;
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${adminPort}/deployments`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ uri: `http://127.0.0.1:${servicePort}` }),
    }).catch((error: unknown) => error as Error);
    if (answer instanceof Response && answer.ok) return;
    if (performance.now() > byMs) {
      const why = answer instanceof Response ? await answer.text() : answer.message;
      throw new Error(`Restate did not take the benchmark's service within ${readyWithinMs} ms: ${why}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
