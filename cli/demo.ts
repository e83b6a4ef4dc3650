/**
 * `npm run demo`: the whole way on this machine, with nothing left behind. Builds an example, starts a coordinator and an
 * agent in a temporary folder, registers, runs, shows the tasks as they go, prints the output.
 *
 * Exit codes: 0, 1 when something failed or took too long, 130 after Ctrl-C.
 */
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { startAgent } from "#agent/main.ts";
import { startCoordinator } from "#coordinator/main.ts";
import { SaltError } from "#shared/domain/errors.ts";
import { buildProject } from "./build/build-project.ts";
import { bytesText } from "./bytes-text.ts";
import { type Cli, note, systemCli } from "./cli.ts";
import { type Client, createClient } from "./client.ts";
import { durationText } from "./duration.ts";
import { tellError } from "./error-text.ts";
import { saltFolder } from "./installation.ts";
import { coloursFor } from "./output.ts";
import { registerProject } from "./register-project.ts";
import { serverLog } from "./server-log.ts";
import { tellEnd } from "./watch/tell-end.ts";
import { watchRun } from "./watch/watch-run.ts";

const withinMs = 60_000;
const example = "fan-out";
const made = ["dist", ".salt", "node_modules"];

/** What was started, to be ended in reverse. */
type Ends = (() => Promise<unknown>)[];

async function runDemo(cli: Cli, ends: Ends): Promise<number> {
  const colours = coloursFor(cli, cli.stderr);
  const step = (text: string) => note(cli, `\n${colours.bold(text)}`);
  const folder = await mkdtemp(path.join(tmpdir(), "salt-demo-"));
  ends.push(() => rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));

  step(`1  Build examples/${example}: one executable with everything inside`);
  const project = path.join(folder, example);
  const isSource = (file: string) => !made.includes(path.basename(file));
  await cp(path.join(saltFolder, "examples", example), project, { recursive: true, filter: isSource });
  const env = { ...cli.env, SALT_CACHE: cli.env.SALT_CACHE ?? path.join(saltFolder, "node_modules", ".cache", "salt") };
  const built = await buildProject({ env, nowMs: cli.nowMs, say: () => undefined }, { folder: project });
  for (const { platform, bytes, sha256 } of built.binaries) {
    note(
      cli,
      `main for ${platform}, ${bytesText(bytes)}, sha256 ${sha256.slice(0, 12)}, in ${durationText(built.tookMs)}`,
    );
  }

  step("2  Start a coordinator and an agent");
  const client = await startServers(cli, folder, ends);

  step("3  Register the release: the bytes go to the coordinator once");
  const { release } = await registerProject({ client, onUpload: () => undefined }, built);
  note(cli, `${example} is ${release}`);

  step("4  Run the workflow wordStatistics: 35 tasks that depend on one another");
  const body = { project: example, workflow: "wordStatistics", input: { top: 5, minLetters: 5 } };
  const run = await client.call("openRun", { body });
  const end = await watchRun(cli, client, run, { logs: true, timeoutMs: withinMs });
  const code = await tellEnd(cli, client, run, end, undefined);
  if (code === 0) tellNext(cli, step);
  return code === 0 ? 0 : 1;
}

async function startServers(cli: Cli, folder: string, ends: Ends): Promise<Client> {
  const logger = serverLog(cli, cli.env.SALT_DEBUG === "1" ? "debug" : "error");
  const coordinator = await startCoordinator({ port: 0, dataFolder: path.join(folder, "coordinator"), logger });
  ends.push(() => coordinator.close());
  const tokenFor = async (role: "admin" | "agent") =>
    (await coordinator.createToken({ name: `demo ${role}`, role, by: "demo" })).token;
  const agent = await startAgent({
    url: coordinator.url,
    token: await tokenFor("agent"),
    name: "demo",
    dataFolder: path.join(folder, "agent"),
    logger,
  });
  ends.push(() => agent.close());
  note(cli, `coordinator on ${coordinator.url}, agent ${agent.id}`);
  const token = { value: await tokenFor("admin"), origin: "demo" };
  return createClient({ url: { value: coordinator.url, origin: "demo" }, token });
}

function tellNext(cli: Cli, step: (text: string) => void): void {
  step("Where to look next");
  const lines = [
    [`examples/${example}/src/main.ts`, "what just ran; the other examples are beside it"],
    ["docs/getting-started.md", "from an empty folder to a workflow of your own"],
    ["docs/architecture.md", "one run, followed through the code"],
    ["npx salt --help", "every command; npm link makes it plain salt, in any folder"],
    ["npx salt dev examples/approval", "coordinator and agent on http://127.0.0.1:7420, with an example to run"],
    ["npm test", "every test"],
  ] as const;
  const width = Math.max(...lines.map(([what]) => what.length));
  for (const [what, why] of lines) note(cli, `${what.padEnd(width)}  ${why}`);
}

async function main(): Promise<void> {
  // Ctrl-C ends all of it here: there is nobody left to whom the run could go on.
  const cli: Cli = { ...systemCli(), onInterrupt: () => () => undefined };
  const ends: Ends = [];
  const { promise: stopped, resolve, reject } = Promise.withResolvers<number>();
  process.once("SIGINT", () => resolve(130));
  process.once("SIGTERM", () => resolve(143));
  const late = new SaltError("TimedOut", `The demo took longer than ${durationText(withinMs)}, and was stopped.`, {
    next: "npx salt doctor",
  });
  const timer = setTimeout(() => reject(late), withinMs);
  const code = await Promise.race([runDemo(cli, ends), stopped]).catch((error: unknown) => {
    tellError(cli, error);
    return 1;
  });
  clearTimeout(timer);
  for (const end of ends.reverse())
    await end().catch((error: Error) => note(cli, `While clearing up: ${error.message}`));
  process.exit(code);
}

await main();
