import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Built } from "#cli/build/build-project.ts";
import { type Client, createClient } from "#cli/client.ts";
import { registerProject } from "#cli/register-project.ts";
import { buildBenchProject } from "./build-project.ts";
import { type ServerProcess, startServer } from "./server-process.ts";

/** A coordinator, a process of its own started by the CLI, with the benchmark's project registered. */
export interface Coordinator {
  readonly client: Client;
  readonly server: ServerProcess;
  readonly url: string;
  /** A token for agents. */
  readonly token: string;
  readonly built: Built;
  /** For what else belongs to it; gone when it is closed. */
  readonly folder: string;
  /** Environment of what is started beside it. */
  readonly env: NodeJS.ProcessEnv;
  close(): Promise<void>;
}

export interface CoordinatorOptions {
  /** Called with a line for people at each step of the build. */
  readonly say: (line: string) => void;
  /** URL of the Redis that keeps the state. Default: the coordinator keeps it itself, with sqlite. */
  readonly redis?: string;
  readonly coordinatorNodeArgs?: readonly string[];
}

export async function startCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const built = await buildBenchProject(options.say);
  const folder = await mkdtemp(path.join(tmpdir(), "salt-bench-"));
  const env = { PATH: process.env.PATH, HOME: folder, NO_COLOR: "1", CI: "1" };
  const stores = options.redis === undefined ? [] : ["--redis", options.redis];
  const data = path.join(folder, "coordinator");
  const server = startServer(["coordinator", "--data", data, "--port", "0", "--log-level", "warn", ...stores], {
    cwd: folder,
    env,
    nodeArgs: options.coordinatorNodeArgs ?? [],
  });
  const [, url = ""] = await server.said(/listens on (http:[^\s"]+)/);
  const [admin] = await server.said(/\bsalt_\w+/);
  const client = createClient({ url: { value: url, origin: "bench" }, token: { value: admin, origin: "bench" } });
  await registerProject({ client, onUpload: () => undefined }, built);
  const { token } = await client.call("createToken", { body: { name: "agents", role: "agent" } });
  return {
    ...{ client, server, url, token, built, folder, env },
    async close() {
      await server.stop();
      await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}
