import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, createClient } from "#cli/client.ts";
import { SaltError } from "#shared/domain/errors.ts";
import type { RunView } from "#shared/protocol/api.ts";
import { privateEnv, runSalt, type SaltEnd, type SaltProcess, startProcess } from "./salt-process.ts";

/** Salt as people have it: a coordinator and agents, each a process of its own started with the CLI's commands. */
export interface Salt {
  readonly url: string;
  /** The first admin token. */
  readonly token: string;
  /** What the agents dial with. */
  readonly agentToken: string;
  /** A new temporary folder, in which everything is kept; `close` removes it. */
  readonly folder: string;
  /** With it `salt` finds this coordinator, with the admin token. */
  readonly env: NodeJS.ProcessEnv;
  readonly client: Client;
  readonly coordinator: () => SaltProcess;
  /** The one that is, and those that were. */
  readonly coordinators: readonly SaltProcess[];
  readonly agents: SaltProcess[];
  /** Runs `salt <args>` against this coordinator. */
  salt(args: readonly string[], options?: { cwd?: string; input?: string; timeoutMs?: number }): Promise<SaltEnd>;
  /** The same, of which anything but exit code 0 is an error. Returns stdout. */
  saltOk(args: readonly string[], options?: { cwd?: string; input?: string; timeoutMs?: number }): Promise<string>;
  /** Starts one more agent and waits until it is connected. `name` is its data folder too: the same name is the same agent. */
  startAgent(name?: string, args?: readonly string[]): Promise<SaltProcess>;
  /** Starts a coordinator on the same folder and port as the first one, which has ended. */
  startCoordinator(): Promise<SaltProcess>;
  /** Opens a run by `project/workflow`. */
  open(workflow: string, input?: unknown): Promise<RunView>;
  /** Waits until a run has ended, or `until` holds of it. Default at most 30 s. */
  settled(run: string, until?: (run: RunView) => boolean, timeoutMs?: number): Promise<RunView>;
  /** The output of a run, which must have succeeded. */
  output(run: string): Promise<unknown>;
  close(): Promise<void>;
}

export interface StartSaltOptions {
  /** How many to begin with. Default 1. */
  readonly agents?: number;
  /** Of each agent. Default 2. */
  readonly slots?: number;
  /** More flags of the coordinator. */
  readonly coordinator?: readonly string[];
  /** More variables of the coordinator. */
  readonly coordinatorEnv?: NodeJS.ProcessEnv;
  /** Of coordinator and agents. Default `warn` and `info`. */
  readonly logLevel?: string;
  /** Looks at what all processes have left, before it is removed by `close`. */
  readonly inspect?: (salt: Salt) => void;
}

export async function startSalt(options: StartSaltOptions = {}): Promise<Salt> {
  const { agents = 1, slots = 2, coordinator: flags = [], logLevel } = options;
  const folder = await mkdtemp(path.join(tmpdir(), "salt-test-"));
  const bare = privateEnv(folder);
  const data = path.join(folder, "coordinator");
  let port = "0";
  let coordinator: SaltProcess;
  const coordinators: SaltProcess[] = [];
  const startCoordinator = async (): Promise<SaltProcess> => {
    const args = ["coordinator", "--data", data, "--port", port, "--log-level", logLevel ?? "warn", ...flags];
    coordinator = startProcess(args, { cwd: folder, env: { ...bare, ...options.coordinatorEnv } });
    coordinators.push(coordinator);
    const [, found = ""] = await coordinator.said(/listens on http:\/\/127\.0\.0\.1:(\d+)/);
    port = found;
    return coordinator;
  };
  coordinator = await startCoordinator();
  const [token] = await coordinator.said(/salt_\w+/, "stdout");
  const url = `http://127.0.0.1:${port}`;
  const client = createClient({ url: { value: url, origin: "test" }, token: { value: token, origin: "test" } });
  const env = { ...bare, SALT_URL: url, SALT_TOKEN: token };
  const agentToken = (await client.call("createToken", { body: { name: "agents", role: "agent" } })).token;

  const salt: Salt = {
    url,
    token,
    agentToken,
    folder,
    env,
    client,
    coordinator: () => coordinator,
    coordinators,
    agents: [],
    salt: (args, options = {}) => runSalt(args, { cwd: folder, env, ...options }),
    async saltOk(args, options) {
      const end = await salt.salt(args, options);
      if (end.code === 0) return end.stdout;
      throw new Error(`salt ${args.join(" ")} ended with ${end.code}:\n${end.stdout}${end.stderr}`);
    },
    async startAgent(name = `agent-${salt.agents.length + 1}`, args = []) {
      const place = ["--name", name, "--data", path.join(folder, name), "--slots", String(slots), "--drain", "2s"];
      const agent = startProcess(["agent", ...place, "--log-level", logLevel ?? "info", ...args], {
        cwd: folder,
        env: { ...bare, SALT_URL: url, SALT_TOKEN: agentToken },
      });
      salt.agents.push(agent);
      await agent.said(/Connected to the coordinator/);
      return agent;
    },
    startCoordinator,
    async open(name, input) {
      const [project = "", workflow = ""] = name.split("/");
      return await client.call("openRun", { body: { project, workflow, ...(input === undefined ? {} : { input }) } });
    },
    settled: (run, until, timeoutMs) => waitForRun(client, run, until, timeoutMs),
    async output(run) {
      return JSON.parse(await salt.saltOk(["runs", "watch", run, "--no-logs"]));
    },
    async close() {
      await Promise.all(salt.agents.map((agent) => agent.stop()));
      await coordinator.stop();
      killPrograms(folder);
      try {
        options.inspect?.(salt);
      } finally {
        await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
      }
    },
  };
  for (let count = 0; count < agents; count++) await salt.startAgent();
  return salt;
}

const hasEnded = (run: RunView): boolean => run.endedAtMs !== null;

export async function waitForRun(client: Client, run: string, until = hasEnded, timeoutMs = 30_000): Promise<RunView> {
  const byMs = performance.now() + timeoutMs;
  for (;;) {
    const view = await client.call("getRun", { params: { run } }).catch((error: unknown) => {
      // Between the end of a coordinator and the start of the next.
      if (error instanceof SaltError && error.retryable && performance.now() < byMs) return null;
      throw error;
    });
    if (view === null) {
      await sleep(20);
      continue;
    }
    if (until(view)) return view;
    if (hasEnded(view)) throw new Error(`Run ${run} has ended: ${JSON.stringify(view)}`);
    if (performance.now() > byMs)
      throw new Error(`Run ${run} took longer than ${timeoutMs} ms: ${JSON.stringify(view)}`);
    await sleep(20);
  }
}

/** Programs outlive an agent that was killed, to be taken up by the next; after a test there is none, nor its sockets. */
export function killPrograms(folder: string): void {
  for (const agent of readdirSync(folder, { withFileTypes: true })) {
    if (!agent.isDirectory()) continue;
    for (const pid of programsOf(path.join(folder, agent.name, "processes"))) {
      try {
        process.kill(-pid, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    }
    removeSockets(path.join(folder, agent.name, "sockets"));
  }
}

function removeSockets(file: string): void {
  if (!existsSync(file)) return;
  const sockets = readFileSync(file, "utf8");
  if (path.basename(sockets).startsWith("salt-")) rmSync(sockets, { recursive: true, force: true });
}

function programsOf(processes: string): number[] {
  try {
    return readdirSync(processes).flatMap((name) => {
      const text = readFileSync(path.join(processes, name, "identity.json"), "utf8");
      const { pid } = JSON.parse(text) as { pid: number };
      return pid > 1 ? [pid] : [];
    });
  } catch {
    return [];
  }
}
