import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createConnection, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** A real Redis on a free port and in a temporary folder, which `close` removes. */
export interface RedisServer {
  readonly port: number;
  readonly url: string;
  readonly folder: string;
  readonly pid: () => number;
  /** One command, on a connection of its own; arrays come as arrays. */
  command(...args: readonly string[]): Promise<unknown>;
  /** As a crash: nothing is written any more. */
  kill(): Promise<void>;
  /** On the same port and folder, after it has ended. */
  start(): Promise<void>;
  pause(): void;
  resume(): void;
  close(): Promise<void>;
}

export interface RedisServerOptions {
  /** `none`: nothing outlives the server. Default `none`. */
  readonly appendfsync?: "always" | "everysec" | "none";
  /** More settings, as `redis-server` takes them. */
  readonly settings?: readonly string[];
}

const missing = "redis-server is missing: install it (Debian: apt-get install -y redis-server), version 7 or newer";

/**
 * Whether tests that need a Redis can run here. Where everything must be tested (`CI=true`) a missing one is an error;
 * elsewhere they are skipped, and what to install is said.
 */
export function haveRedis(): boolean {
  if (spawnSync("redis-server", ["--version"]).status === 0) return true;
  if (process.env.CI === "true") throw new Error(missing);
  console.warn(`Skipped: ${missing}.`);
  return false;
}

export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const folder = await mkdtemp(path.join(tmpdir(), "salt-redis-"));
  const port = await freePort();
  const { appendfsync = "none", settings = [] } = options;
  const durability =
    appendfsync === "none" ? ["--appendonly", "no"] : ["--appendonly", "yes", "--appendfsync", appendfsync];
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--loglevel", "notice"];
  let child: ChildProcess | null = null;
  let ended: Promise<void> = Promise.resolve();

  const start = async () => {
    const started = spawn("redis-server", [...args, "--logfile", "redis.log", ...durability, ...settings], {
      stdio: "ignore",
    });
    child = started;
    ended = new Promise((resolve) => started.once("exit", () => resolve()));
    await untilAnswers(port, folder, started);
  };
  const kill = async () => {
    child?.kill("SIGCONT");
    child?.kill("SIGKILL");
    await ended;
  };
  await start();
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    folder,
    pid: () => child?.pid ?? 0,
    command: (...command) => ask(port, command),
    kill,
    start,
    pause: () => void child?.kill("SIGSTOP"),
    resume: () => void child?.kill("SIGCONT"),
    async close() {
      await kill();
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

export interface RedisCluster {
  readonly url: string;
  readonly nodes: readonly RedisServer[];
  close(): Promise<void>;
}

/** Three masters that share the slots. */
export async function startRedisCluster(options: RedisServerOptions = {}): Promise<RedisCluster> {
  const settings = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", ...(options.settings ?? [])];
  const nodes = await Promise.all([0, 1, 2].map(() => startRedis({ ...options, settings })));
  const [first] = nodes;
  if (first === undefined) throw new Error("A cluster has nodes.");
  const slots = 16_384;
  await Promise.all(
    nodes.map(async (node, index) => {
      const [from, to] = [Math.ceil((slots * index) / 3), Math.ceil((slots * (index + 1)) / 3) - 1];
      await node.command("CLUSTER", "SET-CONFIG-EPOCH", String(index + 1));
      await node.command("CLUSTER", "ADDSLOTSRANGE", String(from), String(to));
      if (node !== first) await node.command("CLUSTER", "MEET", "127.0.0.1", String(first.port));
    }),
  );
  for (const node of nodes) {
    await until(async () => {
      const info = String(await node.command("CLUSTER", "INFO"));
      return info.includes("cluster_state:ok") && info.includes("cluster_known_nodes:3");
    }, "the cluster is whole");
  }
  return {
    url: `redis-cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(",")}`,
    nodes,
    close: async () => void (await Promise.all(nodes.map((node) => node.close()))),
  };
}

async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  const byMs = performance.now() + 20_000;
  while (!(await holds())) {
    if (performance.now() > byMs) throw new Error(`It took too long until ${what}.`);
    await sleep(20);
  }
}

async function untilAnswers(port: number, folder: string, child: ChildProcess): Promise<void> {
  const answers = async () => {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`redis-server has ended: ${await readFile(path.join(folder, "redis.log"), "utf8")}`);
    }
    // While it reads its data it answers with an error.
    return (await ask(port, ["PING"]).catch(() => null)) === "PONG";
  };
  const byMs = performance.now() + 20_000;
  while (!(await answers())) {
    if (performance.now() > byMs) throw new Error(`redis-server at port ${port} does not answer.`);
    await sleep(5);
  }
}

/** Below the range from which the system gives ports, so that a cluster's bus, 10,000 above, is free too. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if ((await isFree(port)) && (await isFree(port + 10_000))) return port;
  }
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });

function ask(port: number, args: readonly string[]): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket: Socket = createConnection({ port, host: "127.0.0.1" });
    let text = "";
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("The connection ended before the answer.")));
    socket.on("data", (data) => {
      text += data.toString("latin1");
      const reply = parseReply(text, 0);
      if (reply === null) return;
      socket.destroy();
      if (reply.value instanceof Error) reject(reply.value);
      else resolve(reply.value);
    });
    socket.write(`*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join("")}`);
  });
}

/** A reply that begins at `from`, and where it ends; null when it is not all there. */
function parseReply(text: string, from: number): { readonly value: unknown; readonly end: number } | null {
  const line = text.indexOf("\r\n", from);
  if (line < 0) return null;
  const rest = text.slice(from + 1, line);
  const end = line + 2;
  switch (text[from]) {
    case "+":
      return { value: rest, end };
    case ":":
      return { value: Number(rest), end };
    case "-":
      return { value: new Error(rest), end };
    case "$": {
      const length = Number(rest);
      if (length < 0) return { value: null, end };
      if (text.length < end + length + 2) return null;
      return { value: Buffer.from(text.slice(end, end + length), "latin1").toString(), end: end + length + 2 };
    }
    default: {
      const values: unknown[] = [];
      let at = end;
      for (let left = Number(rest); left > 0; left--) {
        const reply = parseReply(text, at);
        if (reply === null) return null;
        values.push(reply.value);
        at = reply.end;
      }
      return { value: values, end: at };
    }
  }
}
