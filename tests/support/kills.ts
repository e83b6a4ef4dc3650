import { livingPrograms, until } from "./journeys.ts";
import type { Salt } from "./start-salt.ts";

/** Ends parts of a running Salt by kill -9, and starts again what nothing else would. Each says what it killed. */
export interface Kills {
  coordinator(): Promise<string>;
  /** The agent, and a new one on the same folder. */
  agent(): Promise<string>;
  /** Both, the agent first back. */
  both(): Promise<string>;
  /** One program of a kind, with its process group; waits a while for one, since another may just have been killed. */
  program(kind: "task" | "workflow"): Promise<string>;
  /** One of these, as the seed has it. */
  anything(): Promise<string>;
}

export function killsOf(salt: Salt, random: () => number): Kills {
  const kills: Kills = {
    async coordinator() {
      await salt.coordinator().stop("SIGKILL");
      await salt.startCoordinator();
      return "the coordinator";
    },
    async agent() {
      await salt.agents.at(-1)?.stop("SIGKILL");
      await salt.startAgent("agent-1");
      return "the agent";
    },
    async both() {
      await Promise.all([salt.coordinator().stop("SIGKILL"), salt.agents.at(-1)?.stop("SIGKILL")]);
      await Promise.all([salt.startAgent("agent-1"), salt.startCoordinator()]);
      return "coordinator and agent";
    },
    async program(kind) {
      const living = () => livingPrograms(salt).filter((program) => program.kind === kind);
      await until(`a ${kind} program lives`, () => living().length > 0, 5_000).catch(() => undefined);
      const programs = living();
      const victim = programs[Math.floor(random() * programs.length)];
      if (victim === undefined) return `no ${kind} program, as none lives`;
      process.kill(-victim.pid, "SIGKILL");
      return `a ${kind} program, ${victim.pid}`;
    },
    async anything() {
      const { coordinator, agent, both, program } = kills;
      const all = [coordinator, agent, both, () => program("workflow"), () => program("task")];
      return await (all[Math.floor(random() * all.length)] ?? coordinator)();
    },
  };
  return kills;
}
