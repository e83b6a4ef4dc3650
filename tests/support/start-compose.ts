import { execFile, execFileSync, spawn } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseEnv, promisify } from "node:util";
import { parse } from "yaml";
import { privateEnv, saltFolder, startProcess } from "./salt-process.ts";
import { killPrograms } from "./start-salt.ts";

export const deployFolder = path.join(saltFolder, "deploy");

/** Of a service, what the compose file says and what is looked at here. */
export interface ComposeService {
  readonly image: string;
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly [how: string, ...command: string[]] };
  readonly networks?: readonly string[];
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly stop_grace_period?: string;
  readonly user?: string;
}

export interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>;
  readonly volumes: Readonly<Record<string, object>>;
}

export function readCompose(): ComposeFile {
  return parse(readFileSync(path.join(deployFolder, "compose.yaml"), "utf8"), { merge: true }) as ComposeFile;
}

/** What `deploy/make-env.sh` writes, made in a folder. */
export function makeEnv(folder: string): Record<string, string> {
  copyFileSync(path.join(deployFolder, "make-env.sh"), path.join(folder, "make-env.sh"));
  execFileSync("sh", [path.join(folder, "make-env.sh")], { stdio: "pipe" });
  return parseEnv(readFileSync(path.join(folder, ".env"), "utf8")) as Record<string, string>;
}

/** `${NAME}`, `${NAME:-default}` and `${NAME:?what is missing}`, as Compose reads them; `$$` is a dollar. */
export function interpolate(text: string, env: Readonly<Record<string, string | undefined>>): string {
  return text.replace(/\$\$|\$\{(\w+)(?::([-?])([^}]*))?\}/g, (all, name?: string, kind?: string, word = "") => {
    if (name === undefined) return "$";
    const value = env[name];
    if (value) return value;
    if (kind === "?") throw new Error(`${name} is missing: ${word}`);
    return kind === "-" || value !== undefined ? value || word : all;
  });
}

/** A service as a process of this machine. */
export interface LocalService {
  readonly name: string;
  readonly output: () => string;
  /** Sends SIGTERM; what has not ended within its grace period is killed. Returns the exit code, or the signal. */
  stop(): Promise<number | NodeJS.Signals>;
  /** Starts it, and waits until its health check passes. */
  start(): Promise<void>;
}

export interface LocalCompose {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly service: (name: string) => LocalService;
  /** Of the coordinators, as they are published. */
  readonly urls: readonly string[];
  close(): Promise<void>;
}

/**
 * Starts what compose.yaml starts, without containers: each service's own command, environment, order and health check,
 * with a free port of 127.0.0.1 in place of its name and port, and a temporary folder in place of its volume. `programs`
 * says what is executed for `weed`'s image.
 */
export async function startCompose(programs: { readonly weed: string }): Promise<LocalCompose> {
  const folder = await mkdtemp(path.join(tmpdir(), "salt-compose-"));
  const env = makeEnv(folder);
  const compose = readCompose();
  const ports = await choosePorts(Object.keys(compose.services));
  const services = new Map<string, LocalService>();
  const place = { folder, env, ports, programs };
  const started: LocalService[] = [];
  const close = async () => {
    for (const service of started.reverse()) await service.stop();
    killPrograms(folder);
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  };
  const start = async (name: string): Promise<void> => {
    const service = compose.services[name];
    if (service === undefined || services.has(name)) return;
    for (const before of Object.keys(service.depends_on ?? {})) await start(before);
    const local = localService(name, service, place);
    services.set(name, local);
    started.push(local);
    await local.start();
  };
  try {
    for (const name of Object.keys(compose.services)) await start(name);
  } catch (error) {
    await close();
    throw error;
  }
  const coordinators = Object.keys(compose.services).filter((name) => name.startsWith("coordinator"));
  return {
    folder,
    env,
    service: (name) => services.get(name) as LocalService,
    urls: coordinators.map((name) => `http://127.0.0.1:${ports[name]?.[0]}`),
    close,
  };
}

interface Place {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly ports: Readonly<Record<string, readonly number[]>>;
  readonly programs: { readonly weed: string };
}

const portOf: Readonly<Record<string, string>> = { redis: "6379", s3: "8333" };
const coordinatorPort = "7420";

function localService(name: string, service: ComposeService, place: Place): LocalService {
  const data = path.join(place.folder, name);
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const [port = 0, ...morePorts] = place.ports[name] ?? [];
  const localText = (text: string): string => {
    let local = interpolate(text, place.env);
    for (const [other, [at]] of Object.entries(place.ports)) {
      local = local.replaceAll(`//${other}:${portOf[other] ?? coordinatorPort}`, `//127.0.0.1:${at}`);
    }
    return local;
  };
  const command = service.command
    .map(localText)
    .map((word) => (["/var/lib/salt", "/tmp/salt"].includes(word) ? data : word));
  const environment = Object.fromEntries(
    Object.entries(service.environment ?? {}).map(([variable, text]) => [variable, localText(text)]),
  );
  const options = { cwd: data, env: { ...privateEnv(data), ...environment } };
  const launch = () => {
    if (service.image === "salt") {
      return startProcess([...command, ...(name.startsWith("agent") ? [] : ["--port", String(port)])], options);
    }
    const [program = "", ...args] = name === "s3" ? weedCommand({ command, data, port, morePorts, place }) : command;
    const local = name === "redis" ? ["--port", String(port), "--bind", "127.0.0.1", "--dir", data] : [];
    return startOther(program, [...args, ...local], options);
  };
  const graceMs = 1_000 * Number.parseInt(service.stop_grace_period ?? "10s", 10);
  const check = healthCommand(service, port);
  let process_: Running | null = null;
  return {
    name,
    output: () => process_?.output() ?? "",
    async start() {
      const running = toRunning(launch());
      process_ = running;
      for (const byMs = performance.now() + 60_000; check !== null && !(await passes(check)); ) {
        if (running.hasEnded() || performance.now() > byMs)
          throw new Error(`${name} is not healthy:\n${running.output()}`);
        await sleep(100);
      }
    },
    stop: async () => (await process_?.stop(graceMs)) ?? 0,
  };
}

/** The ports that it would have to itself in a container, each another here; a flag that is given twice counts as given last. */
function weedCommand(given: {
  readonly command: readonly string[];
  readonly data: string;
  readonly port: number;
  readonly morePorts: readonly number[];
  readonly place: Place;
}): string[] {
  const { command, data, port, place } = given;
  const [first = "", ...flags] = command;
  const own = [
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
  ];
  const elsewhere = own.map((flag, index) => `-${flag}=${given.morePorts[index]}`);
  const sockets = ["filer", "s3"].map((part) => `-${part}.localSocket=${path.join(data, `${part}.sock`)}`);
  const bound = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", `-dir=${data}`, `-s3.port=${port}`];
  return [place.programs.weed, "-logtostderr", first, ...flags, ...bound, ...elsewhere, ...sockets];
}

function healthCommand({ healthcheck }: ComposeService, port: number): readonly string[] | null {
  if (healthcheck === undefined) return null;
  const [how, ...words] = healthcheck.test;
  const local = words.map((word) => word.replace(/127\.0\.0\.1:\d+/, `127.0.0.1:${port}`));
  if (how === "CMD-SHELL") return ["sh", "-c", ...local];
  const [program = "", ...args] = local;
  if (program === "node") return [process.execPath, ...args];
  return program === "redis-cli" ? [program, "-p", String(port), ...args] : [program, ...args];
}

async function passes([program = "", ...args]: readonly string[]): Promise<boolean> {
  return await promisify(execFile)(program, args, { timeout: 5_000 }).then(
    () => true,
    () => false,
  );
}

interface Running {
  output(): string;
  hasEnded(): boolean;
  stop(graceMs: number): Promise<number | NodeJS.Signals>;
}

type Started = Pick<ReturnType<typeof startProcess>, "child" | "ended" | "stdout" | "stderr">;

function toRunning({ child, ended, stdout, stderr }: Started): Running {
  return {
    output: () => stdout() + stderr(),
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    async stop(graceMs) {
      child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), graceMs);
      const end = await ended;
      clearTimeout(late);
      return end;
    },
  };
}

function startOther(
  program: string,
  args: readonly string[],
  options: { cwd: string; env: NodeJS.ProcessEnv },
): Started {
  const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (chunk) => (text += chunk));
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once("close", (code, signal) => resolve(code ?? signal ?? 1));
  });
  return { child, ended, stdout: () => text, stderr: () => "" };
}

/** Free ones, eight for the store, whose parts have one each, and one for each other service. */
async function choosePorts(names: readonly string[]): Promise<Record<string, number[]>> {
  const servers = names.map(
    (name) => [name, Array.from({ length: name === "s3" ? 8 : 1 }, () => createServer())] as const,
  );
  const ports: Record<string, number[]> = {};
  for (const [name, each] of servers) {
    for (const server of each) await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    ports[name] = each.map((server) => (server.address() as { port: number }).port);
  }
  await Promise.all(
    servers.flatMap(([, each]) => each.map((server) => new Promise((resolve) => server.close(resolve)))),
  );
  return ports;
}
