import type { Cli } from "./cli.ts";
import type { SaltCommand } from "./command.ts";

/** The table is given to the commands that speak of the others. */
type AddCommand = (root: SaltCommand, cli: Cli, table: readonly CommandEntry[]) => void;

export interface CommandEntry {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly group: "Projects" | "Runs" | "Registry and fleet" | "Servers" | "This machine";
  readonly summary: string;
  readonly load: () => Promise<AddCommand>;
}

/** Every command with what help says of it. Its file is imported only when it is called. */
export const commandTable: readonly CommandEntry[] = [
  {
    name: "init",
    group: "Projects",
    summary: "make a new project from a template",
    load: async () => (await import("./commands/init.ts")).addInit,
  },
  {
    name: "dev",
    group: "Projects",
    summary: "coordinator and agent in one; builds and registers the project on each save",
    load: async () => (await import("./commands/dev.ts")).addDev,
  },
  {
    name: "build",
    group: "Projects",
    summary: "make the project's executables and manifest",
    load: async () => (await import("./commands/build.ts")).addBuild,
  },
  {
    name: "register-workflow",
    aliases: ["register"],
    group: "Projects",
    summary: "build where needed, upload, and make it the release that new runs use",
    load: async () => (await import("./commands/register-workflow.ts")).addRegisterWorkflow,
  },
  {
    name: "generate",
    group: "Projects",
    summary: "make typed functions that call another project's tasks and workflows",
    load: async () => (await import("./commands/generate.ts")).addGenerate,
  },
  {
    name: "generate-server-code",
    group: "Projects",
    summary: "make typed message code from a folder of JSON Schemas",
    load: async () => (await import("./commands/generate-server-code.ts")).addGenerateServerCode,
  },
  {
    name: "run",
    group: "Runs",
    summary: "start a run, watch it, print its output",
    load: async () => (await import("./commands/run.ts")).addRun,
  },
  {
    name: "runs",
    group: "Runs",
    summary: "list, get, watch, cancel and retry runs",
    load: async () => (await import("./commands/runs.ts")).addRuns,
  },
  {
    name: "logs",
    group: "Runs",
    summary: "print what a run's tasks wrote",
    load: async () => (await import("./commands/logs.ts")).addLogs,
  },
  {
    name: "signal",
    group: "Runs",
    summary: "send a signal to a run",
    load: async () => (await import("./commands/signal.ts")).addSignal,
  },
  {
    name: "events",
    group: "Runs",
    summary: "send an event to all runs that wait for it",
    load: async () => (await import("./commands/events.ts")).addEvents,
  },
  {
    name: "workflows",
    group: "Registry and fleet",
    summary: "list and get registered workflows",
    load: async () => (await import("./commands/workflows.ts")).addWorkflows,
  },
  {
    name: "triggers",
    group: "Registry and fleet",
    summary: "list and fire triggers",
    load: async () => (await import("./commands/triggers.ts")).addTriggers,
  },
  {
    name: "limits",
    group: "Registry and fleet",
    summary: "list limits on tasks that are at work at once",
    load: async () => (await import("./commands/limits.ts")).addLimits,
  },
  {
    name: "agents",
    group: "Registry and fleet",
    summary: "list and get agents",
    load: async () => (await import("./commands/agents.ts")).addAgents,
  },
  {
    name: "tokens",
    group: "Registry and fleet",
    summary: "create, list and revoke API tokens",
    load: async () => (await import("./commands/tokens.ts")).addTokens,
  },
  {
    name: "coordinator",
    group: "Servers",
    summary: "start a coordinator",
    load: async () => (await import("./commands/coordinator.ts")).addCoordinator,
  },
  {
    name: "agent",
    group: "Servers",
    summary: "start an agent on this machine",
    load: async () => (await import("./commands/agent.ts")).addAgent,
  },
  {
    name: "doctor",
    group: "This machine",
    summary: "check what Salt needs, and say what to do",
    load: async () => (await import("./commands/doctor.ts")).addDoctor,
  },
  {
    name: "context",
    group: "This machine",
    summary: "save and choose coordinators",
    load: async () => (await import("./commands/context.ts")).addContext,
  },
  {
    name: "config",
    group: "This machine",
    summary: "show the settings in force and where they come from",
    load: async () => (await import("./commands/config.ts")).addConfig,
  },
  {
    name: "completion",
    group: "This machine",
    summary: "print a completion script for bash, zsh or fish",
    load: async () => (await import("./commands/completion.ts")).addCompletion,
  },
];

export const findCommand = (word: string): CommandEntry | undefined =>
  commandTable.find((entry) => entry.name === word || entry.aliases?.includes(word));

export const commandWords = (): string[] =>
  commandTable.flatMap((entry) => [entry.name, ...(entry.aliases ?? [])]).concat("help");
