import path from "node:path";
import type { Client } from "#cli/client.ts";
import { type ServerProcess, startServer } from "./server-process.ts";
import { type CoordinatorOptions, startCoordinator } from "./start-coordinator.ts";

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

export interface SaltOptions extends CoordinatorOptions {
  readonly agentNodeArgs?: readonly string[];
}

export async function startSalt(options: SaltOptions): Promise<Salt> {
  const coordinator = await startCoordinator(options);
  const { folder, env, url, token } = coordinator;
  const place = (name: string) => path.join(folder, name);
  const startAgent = async (name: string): Promise<ServerProcess> => {
    const agent = startServer(["agent", "--name", name, "--data", place(name), "--drain", "2s"], {
      cwd: folder,
      env: { ...env, SALT_URL: url, SALT_TOKEN: token },
      nodeArgs: options.agentNodeArgs ?? [],
    });
    await agent.said(/Connected to the coordinator/);
    return agent;
  };
  let count = 1;
  let agent = await startAgent("agent-1");
  return {
    client: coordinator.client,
    coordinator: coordinator.server,
    agent: () => agent,
    agentFolder: () => place(`agent-${count}`),
    binary: coordinator.built.binaries[0]?.file ?? "",
    async renewAgent() {
      await agent.stop();
      count += 1;
      agent = await startAgent(`agent-${count}`);
    },
    async close() {
      await agent.stop();
      await coordinator.close();
    },
  };
}
