import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Agent, type AgentOptions, type Logger, startAgent } from "../main.ts";
import { FakeCoordinator, type FakeOptions } from "./fake-coordinator.ts";

export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

export interface Stand {
  readonly coordinator: FakeCoordinator;
  readonly folder: string;
  readonly agent: Agent;
  /** Starts the agent again on the same folder. */
  restart(options?: Partial<AgentOptions>): Promise<Agent>;
  close(): Promise<void>;
}

/** A coordinator and an agent that is connected to it. */
export async function openStand(options: Partial<AgentOptions> = {}, fake: FakeOptions = {}): Promise<Stand> {
  const coordinator = new FakeCoordinator(fake);
  await coordinator.open();
  const folder = await mkdtemp(join(tmpdir(), "salt-agent-test-"));
  const start = (more: Partial<AgentOptions> = {}) =>
    startAgent({
      url: coordinator.url,
      token: "secret",
      dataFolder: join(folder, "agent"),
      slots: 1,
      workflowSlots: 4,
      logger: silentLogger,
      ...options,
      ...more,
    });
  let agent = await start();
  await coordinator.until("credit", () => coordinator.said("credit")[0]);
  return {
    coordinator,
    folder,
    get agent() {
      return agent;
    },
    async restart(more) {
      agent = await start(more);
      return agent;
    },
    async close() {
      await agent.close();
      await coordinator.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
