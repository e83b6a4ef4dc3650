/**
 * `salt dev`: one process with a coordinator and an agent on embedded stores in `.salt/`, on loopback only.
 *
 * D1  `.salt/dev.json` (mode 0600) names the address and a token for as long as this runs, so that commands in the
 *     project's folder need no settings.
 * D2  Saves while a build is under way lead to one more build after it. What fails to build leaves the last release.
 * D3  It ends in reverse: watching, agent, coordinator, the file of D1.
 */
import { readFile, rm } from "node:fs/promises";
import path from "node:path";
import type { Agent } from "#agent/options.ts";
import { SaltError } from "#shared/domain/errors.ts";
import { buildProject } from "../build/build-project.ts";
import { type Cli, note } from "../cli.ts";
import { createClient } from "../client.ts";
import { tellPrinted } from "../commands/build.ts";
import { writePrivate } from "../contexts.ts";
import { durationText } from "../duration.ts";
import { errorText } from "../error-text.ts";
import { coloursFor } from "../output.ts";
import { registerProject } from "../register-project.ts";
import { serverLog } from "../server-log.ts";
import { devFileName } from "../settings.ts";
import { timeText } from "../time-text.ts";
import { untilStopped } from "../until-stopped.ts";
import { devTokens } from "./dev-tokens.ts";
import { watchFolder } from "./watch-folder.ts";

export interface DevOptions {
  readonly folder: string;
  /** Null: the default one, or a free one where that is taken. */
  readonly port: number | null;
  readonly slots: number | null;
  readonly release: boolean;
  readonly watch: boolean;
}

export async function runDev(cli: Cli, options: DevOptions): Promise<void> {
  const state = path.join(options.folder, ".salt");
  const logger = serverLog(cli, cli.env.SALT_DEBUG === "1" ? "debug" : "warn");
  const coordinator = await startCoordinatorForDev(options, state, logger);
  let agent: Agent | null = null;
  const devFile = path.join(options.folder, devFileName);
  const stopped = untilStopped(cli);
  try {
    const tokens = await devTokens(state, coordinator);
    await writePrivate(devFile, JSON.stringify({ url: coordinator.url, token: tokens.admin, pid: process.pid }));
    agent = await startAgentForDev(options, state, { url: coordinator.url, token: tokens.agent, logger });
    note(cli, `Coordinator and agent on ${coordinator.url}, state in ${path.relative(cli.cwd, state) || state}`);
    const client = createClient({
      url: { value: coordinator.url, origin: "salt dev" },
      token: { value: tokens.admin, origin: "salt dev" },
    });
    let stopping = false;
    const isStopping = () => stopping;
    const refresh = () => buildAndRegister(cli, client, options, isStopping);
    void stopped.then(() => {
      stopping = true;
    });
    await refresh();
    if (options.watch) note(cli, "Watching for saves. Ctrl-C stops.");
    const watching = options.watch ? watchFolder(options.folder, refresh) : null;
    await stopped;
    note(cli, "Stopping");
    await watching?.close();
  } finally {
    await rm(devFile, { force: true });
    await agent?.close();
    await coordinator.close();
  }
}

async function startCoordinatorForDev(options: DevOptions, state: string, logger: ReturnType<typeof serverLog>) {
  const { startCoordinator } = await import("#coordinator/main.ts");
  const start = (port: number) =>
    startCoordinator({ host: "127.0.0.1", port, dataFolder: path.join(state, "coordinator"), logger });
  try {
    return await start(options.port ?? 7420);
  } catch (error) {
    await refuseSecond(options.folder, error);
    if (options.port !== null || !isPortTaken(error)) throw error;
    return await start(0);
  }
}

/** Throws when the database is in use because another `salt dev` has this folder. */
async function refuseSecond(folder: string, error: unknown): Promise<void> {
  if (!(error instanceof SaltError && error.message.includes("another process has it open"))) return;
  const text = await readFile(path.join(folder, devFileName), "utf8").catch(() => "{}");
  const { url } = JSON.parse(text) as { url?: string };
  throw new SaltError("Unavailable", `salt dev runs in this folder already${url ? `, on ${url}` : ""}.`, {
    next: "use that one, or stop it first",
    cause: error,
  });
}

const isPortTaken = (error: unknown): boolean => {
  const { code, cause } = error as NodeJS.ErrnoException & { cause?: NodeJS.ErrnoException };
  return code === "EADDRINUSE" || cause?.code === "EADDRINUSE";
};

async function startAgentForDev(
  options: DevOptions,
  state: string,
  link: { url: string; token: string; logger: ReturnType<typeof serverLog> },
): Promise<Agent> {
  const { startAgent } = await import("#agent/main.ts");
  // The folder's programs are modules, whatever the project's own package.json says of its files.
  await writePrivate(path.join(state, "package.json"), '{ "type": "module" }\n');
  return await startAgent({
    ...link,
    name: "dev",
    dataFolder: path.join(state, "agent"),
    ...(options.slots === null ? {} : { slots: options.slots }),
  });
}

/** D2: tells what is wrong and returns; only a coordinator that is gone would make it useless to go on. */
async function buildAndRegister(
  cli: Cli,
  client: ReturnType<typeof createClient>,
  options: DevOptions,
  isStopping: () => boolean,
): Promise<void> {
  const colours = coloursFor(cli, cli.stderr);
  const startMs = cli.nowMs();
  const stamp = () => colours.dim(timeText(cli.nowMs()));
  try {
    const built = await buildProject(
      { env: cli.env, nowMs: cli.nowMs, say: () => undefined },
      { folder: options.folder, ...(options.release ? {} : { form: "script" as const }) },
    );
    tellPrinted(cli, built);
    const registered = await registerProject({ client, onUpload: () => undefined }, built);
    const names = built.manifest.description.workflows.map((workflow) => workflow.name).join(", ");
    const took = durationText(cli.nowMs() - startMs);
    const what = registered.created ? `registered ${names}` : "no change";
    note(
      cli,
      `${stamp()} ${colours.green("✔")} ${registered.project} ${registered.release.slice(0, 12)}  ${what}  ${took}`,
    );
    for (const { name, url, secret } of registered.triggers) {
      if (secret !== undefined) note(cli, `         webhook ${name}: ${client.url}${url ?? ""}  secret ${secret}`);
    }
  } catch (error) {
    // Ctrl-C ends what a build has started, too.
    if (isStopping()) return;
    const told =
      error instanceof SaltError ? error : new SaltError("Internal", (error as Error).message, { cause: error });
    note(cli, `${stamp()} ${colours.red("✖")} ${errorText(told).trimEnd()}`);
    if (cli.env.SALT_DEBUG === "1") note(cli, String((error as Error).stack));
  }
}
