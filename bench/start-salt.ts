import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Client, createClient } from "#cli/client.ts";
import { registerProject } from "#cli/register-project.ts";
import { buildBenchProject } from "./build-project.ts";
import { type ServerProcess, startServer } from "./server-process.ts";

/** A coordinator and an agent, each a process of its own started by the CLI, with the benchmark's project registered. */
export interface Salt {
  readonly client: Client;
  readonly coordinator: ServerProcess;
  /** The agent of now: `renewAgent` puts another in its place. */
  readonly agent: () => ServerProcess;
  /** Where the agent of now keeps its state. */
  readonly agentFolder: () => string;
  /** The project's executable. */
  readonly binary: string;
  /** Stops the agent, and starts one that knows nothing: no binary in its cache, no process. */
  renewAgent(): Promise<void>;
  close(): Promise<void>;
}

export interface SaltOptions {
  /** Called with a line for people at each step of the build. */
  readonly say: (line: string) => void;
  readonly coordinatorNodeArgs?: readonly string[];
  readonly agentNodeArgs?: readonly string[];
}

export async function startSalt(options: SaltOptions): Promise<Salt> {
  const built = await buildBenchProject(options.say);
  const folder = await mkdtemp(path.join(tmpdir(), "salt-bench-"));
  const base = { PATH: process.env.PATH, HOME: folder, NO_COLOR: "1", CI: "1" };
  const place = (name: string) => path.join(folder, name);
  const coordinator = startServer(
    ["coordinator", "--data", place("coordinator"), "--port", "0", "--log-level", "warn"],
    {
      cwd: folder,
      env: base,
      nodeArgs: options.coordinatorNodeArgs ?? [],
    },
  );
  const [, url = ""] = await coordinator.said(/listens on (http:[^\s"]+)/);
  const [token] = await coordinator.said(/\bsalt_\w+/);
  const client = createClient({ url: { value: url, origin: "bench" }, token: { value: token, origin: "bench" } });
  await registerProject({ client, onUpload: () => undefined }, built);
  const agents = (await client.call("createToken", { body: { name: "agents", role: "agent" } })).token;

  const startAgent = async (name: string): Promise<ServerProcess> => {
    const agent = startServer(["agent", "--name", name, "--data", place(name), "--drain", "2s"], {
      cwd: folder,
      env: { ...base, SALT_URL: url, SALT_TOKEN: agents },
      nodeArgs: options.agentNodeArgs ?? [],
    });
    await agent.said(/Connected to the coordinator/);
    return agent;
  };
  let count = 1;
  let agent = await startAgent("agent-1");
  return {
    client,
    coordinator,
    agent: () => agent,
    agentFolder: () => place(`agent-${count}`),
    binary: built.binaries[0]?.file ?? "",
    async renewAgent() {
      await agent.stop();
      count += 1;
      agent = await startAgent(`agent-${count}`);
    },
    async close() {
      await agent.stop();
      await coordinator.stop();
      await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}
