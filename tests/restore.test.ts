import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { DeleteObjectsCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readText } from "#cli/client.ts";
import { docBlocks } from "./support/doc-blocks.ts";
import { buildJourneys, registerJourneys, until } from "./support/journeys.ts";
import { saltFolder } from "./support/salt-process.ts";
import { missingForFleet, type SaltFleet, startFleet } from "./support/start-fleet.ts";

const page = readFileSync(path.join(saltFolder, "docs", "operations.md"), "utf8");

/** The commands of the page for one purpose, in their order. */
const commandsFor = (purpose: string): string[] =>
  docBlocks(page).flatMap(({ info, text }) => (info[0] === "sh" && info[1] === purpose ? [text] : []));

describe.skipIf(missingForFleet() !== null)("a fleet whose Redis and bucket are lost", () => {
  let fleet: SaltFleet;
  let env: NodeJS.ProcessEnv;
  let port: number;

  beforeAll(async () => {
    const manifest = await buildJourneys();
    fleet = await startFleet({ coordinators: 2, agents: 1, flags: ["--lease-ttl", "3s"] });
    await registerJourneys(fleet, manifest);
    ({ port } = fleet.redis);
    const [key = ""] = await keysInBucket();
    const prefix = key.split("/").slice(0, 2).join("/");
    env = {
      ...fleet.s3.env,
      PATH: `${fakeAws()}:${process.env.PATH}`,
      HOME: fleet.folder,
      AWS_DEFAULT_REGION: "us-east-1",
      SALT_REDIS_URL: fleet.redis.url,
      SALT_S3_URL: `s3://${fleet.s3.bucket}/${prefix}`,
      SALT_S3_ENDPOINT: fleet.s3.endpoint,
      BACKUP: path.join(fleet.folder, "backup"),
      REDIS_FOLDER: path.join(fleet.folder, "new-redis"),
    };
  }, 180_000);
  afterAll(async () => {
    await promisify(execFile)("redis-cli", ["-p", String(port), "shutdown", "nosave"]).catch(() => undefined);
    await fleet?.close();
  });

  async function keysInBucket(): Promise<string[]> {
    const { Contents = [] } = await fleet.s3.client.send(new ListObjectsV2Command({ Bucket: fleet.s3.bucket }));
    return Contents.map(({ Key = "" }) => Key);
  }

  /** Those of the page, with the port of here. */
  async function execute(purpose: string): Promise<void> {
    const commands = commandsFor(purpose);
    expect(commands, purpose).not.toEqual([]);
    for (const command of commands) {
      const script = `set -e\n${command.replaceAll("6379", String(port))}`;
      await promisify(execFile)("bash", ["-c", script], { env, cwd: fleet.folder, timeout: 60_000 });
    }
  }

  /** An `aws` that knows `s3 sync` alone, for few machines have one. */
  function fakeAws(): string {
    const folder = path.join(fleet.folder, "bin");
    mkdirSync(folder);
    const script = path.join(saltFolder, "tests", "support", "aws-s3-sync.ts");
    writeFileSync(path.join(folder, "aws"), `#!/bin/sh\nexec "${process.execPath}" "${script}" "$@"\n`, {
      mode: 0o755,
    });
    return folder;
  }

  const progressOf = async (run: string) => (await fleet.client.call("getRun", { params: { run } })).counts;
  const outputOf = async (run: string): Promise<unknown> =>
    JSON.parse(await readText(await fleet.client.open("getOutput", { params: { run } })));

  test("C11 C16 goes on from the backup that docs/operations.md makes, on the new ones that it starts", async () => {
    const large = await fleet.open("journeys/relay", { bytes: 100_000 });
    expect(await fleet.settled(large.id)).toMatchObject({ status: "succeeded" });
    const largeOutput = await outputOf(large.id);
    const waiting = await fleet.open("journeys/collect", { count: 1 });
    await until("it waits", async () => (await progressOf(waiting.id)).calls === 1);
    const wave = await fleet.open("journeys/wave", { first: 300, steps: 20, paceMs: 10 });
    await until("it is under way", async () => (await progressOf(wave.id)).succeeded > 50);

    mkdirSync(env.BACKUP ?? "");
    await execute("backup");
    const later = await fleet.open("journeys/collect", { count: 1 });
    await until("it is further", async () => (await progressOf(wave.id)).succeeded > 150);

    await fleet.redis.kill();
    rmSync(fleet.redis.folder, { recursive: true });
    const Objects = (await keysInBucket()).map((Key) => ({ Key }));
    await fleet.s3.client.send(new DeleteObjectsCommand({ Bucket: fleet.s3.bucket, Delete: { Objects } }));
    mkdirSync(env.REDIS_FOLDER ?? "");
    await execute("restore");
    expect(readdirSync(env.REDIS_FOLDER ?? "")).toContain("appendonlydir");

    await until("coordinators answer", () =>
      progressOf(large.id).then(
        () => true,
        () => false,
      ),
    );
    await expect(progressOf(later.id), "what came after the backup").rejects.toMatchObject({ code: "NotFound" });
    expect(await fleet.settled(wave.id, undefined, 60_000)).toMatchObject({ status: "succeeded" });
    const headers = { "idempotency-key": "after the restore" };
    await fleet.client.call("signalRun", { params: { run: waiting.id, name: "say" }, body: { value: 1 }, headers });
    expect(await fleet.settled(waiting.id)).toMatchObject({ status: "succeeded" });
    expect(await outputOf(large.id), "a value of the bucket").toEqual(largeOutput);
    const again = await fleet.open("journeys/relay", { bytes: 100_000 });
    expect(await fleet.settled(again.id)).toMatchObject({ status: "succeeded" });
  }, 180_000);
});
