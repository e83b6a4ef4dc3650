import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Client, createClient } from "#cli/client.ts";
import type { RunView } from "#shared/protocol/api.ts";
import { type CutProxy, startCutProxy } from "./cut-proxy.ts";
import { haveRedis, type RedisServer, type RedisServerOptions, startRedis } from "./redis-server.ts";
import { findWeed, howToInstallWeed, type S3Server, startS3Server } from "./s3-server.ts";
import { privateEnv, type SaltProcess, startProcess } from "./salt-process.ts";
import { killPrograms, waitForRun } from "./start-salt.ts";

/** A process of the fleet under one name, over all its lives. */
export interface Member {
  readonly name: string;
  readonly process: () => SaltProcess;
  readonly lives: readonly SaltProcess[];
  /** Starts it again, as it was started first; its last life has ended. */
  start(): Promise<void>;
}

/** Coordinators over one Redis and one S3 server, and agents that know them all; every part a real process. */
export interface SaltFleet {
  readonly folder: string;
  readonly redis: RedisServer;
  readonly s3: S3Server;
  readonly coordinators: readonly Member[];
  readonly agents: readonly Member[];
  /** The agents' lines, one to each coordinator. */
  readonly lines: readonly CutProxy[];
  readonly client: Client;
  /** The first admin token. */
  readonly token: string;
  open(workflow: string, input?: unknown): Promise<RunView>;
  settled(run: string, until?: (run: RunView) => boolean, timeoutMs?: number): Promise<RunView>;
  close(): Promise<void>;
}

export interface FleetOptions {
  /** Default 3. */
  readonly coordinators?: number;
  /** Default 3. */
  readonly agents?: number;
  /** Of each agent. Default 2. */
  readonly slots?: number;
  /** Default `always`. */
  readonly appendfsync?: RedisServerOptions["appendfsync"];
  /** More flags of the coordinators. */
  readonly flags?: readonly string[];
  /** Where the first agent keeps its data. Default: in the folder of all, as the others. */
  readonly firstAgentData?: string;
}

/** What is missing here for a fleet, or null. In CI nothing may be. */
export function missingForFleet(): string | null {
  if (!haveRedis()) return "redis-server";
  if (findWeed() !== null) return null;
  if (process.env.CI === "true") throw new Error(howToInstallWeed);
  console.warn(`Skipped: ${howToInstallWeed}`);
  return "an S3 server";
}

export async function startFleet(options: FleetOptions = {}): Promise<SaltFleet> {
  const { coordinators: coordinatorCount = 3, agents: agentCount = 3, slots = 2, flags = [] } = options;
  const folder = await mkdtemp(path.join(tmpdir(), "salt-fleet-"));
  const [redis, s3] = await Promise.all([
    startRedis({ appendfsync: options.appendfsync ?? "always" }),
    startS3Server(findWeed() ?? ""),
  ]);
  const env = { ...privateEnv(folder), ...s3.env };
  const stores = ["--redis", redis.url, "--s3", `s3://${s3.bucket}/${s3.newPrefix()}`, "--s3-endpoint", s3.endpoint];
  const coordinators: Member[] = [];
  const ports: string[] = [];
  for (let index = 0; index < coordinatorCount; index += 1) {
    ports.push("0");
    const name = `coordinator-${index + 1}`;
    const start = async () => {
      const data = ["--data", path.join(folder, name), "--port", ports[index] ?? "0", "--log-level", "info"];
      const started = startProcess(["coordinator", ...data, ...stores, "--s3-path-style", ...flags], {
        cwd: folder,
        env,
      });
      const [, port = ""] = await started.said(/listens on http:\/\/127\.0\.0\.1:(\d+)/);
      ports[index] = port;
      return started;
    };
    coordinators.push(await memberOf(name, start));
  }
  const [token] = (await coordinators[0]?.process().said(/salt_\w+/, "stdout")) ?? [""];
  const [first = "", ...others] = ports.map((port) => `http://127.0.0.1:${port}`);
  const client = createClient({
    url: { value: first, origin: "test" },
    token: { value: token, origin: "test" },
    others,
  });
  const { token: agentToken } = await client.call("createToken", { body: { name: "agents", role: "agent" } });
  const lines = await Promise.all(ports.map((port) => startCutProxy(Number(port))));

  const agents: Member[] = [];
  for (let index = 0; index < agentCount; index += 1) {
    const name = `agent-${index + 1}`;
    const data = (index === 0 ? options.firstAgentData : undefined) ?? path.join(folder, name);
    await mkdir(data, { recursive: true, mode: 0o700 });
    const start = async () => {
      const place = ["--name", name, "--data", data, "--slots", String(slots), "--drain", "2s", "--log-level", "info"];
      const url = lines.map((line) => line.url).join(",");
      const started = startProcess(["agent", ...place], {
        cwd: folder,
        env: { ...privateEnv(folder), SALT_URL: url, SALT_TOKEN: agentToken },
      });
      await started.said(/Connected to the coordinator/);
      return started;
    };
    agents.push(await memberOf(name, start));
  }

  return {
    folder,
    redis,
    s3,
    coordinators,
    agents,
    lines,
    client,
    token,
    async open(name, input) {
      const [project = "", workflow = ""] = name.split("/");
      return await client.call("openRun", { body: { project, workflow, ...(input === undefined ? {} : { input }) } });
    },
    settled: (run, until, timeoutMs) => waitForRun(client, run, until, timeoutMs),
    async close() {
      await Promise.all(agents.map((agent) => agent.process().stop()));
      await Promise.all(coordinators.map((coordinator) => coordinator.process().stop()));
      killPrograms(folder);
      await Promise.all([...lines.map((line) => line.close()), redis.close(), s3.close()]);
      await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}

async function memberOf(name: string, start: () => Promise<SaltProcess>): Promise<Member> {
  const lives = [await start()];
  return {
    name,
    lives,
    process: () => lives.at(-1) as SaltProcess,
    async start() {
      lives.push(await start());
    },
  };
}
