import { existsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { DeleteObjectCommand, HeadObjectCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type Built, buildProject } from "#cli/build/build-project.ts";
import { registerProject } from "#cli/register-project.ts";
import { sha256 } from "#shared/domain/ids.ts";
import { type FaultyProxy, startFaultyProxy } from "../support/faulty-proxy.ts";
import { buildJourneys } from "../support/journeys.ts";
import { describeWithS3 } from "../support/s3-server.ts";
import { privateEnv, runSalt, saltFolder, testCache } from "../support/salt-process.ts";
import { type Salt, startSalt } from "../support/start-salt.ts";

const project = path.join(saltFolder, "tests", "journeys", "project");

describeWithS3("Salt with its blobs in S3", (server) => {
  /** The project as a small program: what it weighs does not matter to most of this. */
  let script: Built;
  let prefix: string;
  /** What the coordinator reaches the store by, and what agents and users do. */
  let inside: FaultyProxy;
  let outside: FaultyProxy;
  let salt: Salt | undefined;

  beforeAll(async () => {
    const deps = { env: privateEnv(testCache), nowMs: Date.now, say: () => undefined };
    script = await buildProject(deps, { folder: project, form: "script" });
  }, 120_000);
  beforeEach(async () => {
    prefix = server().newPrefix();
    inside = await startFaultyProxy(server().endpoint);
    outside = await startFaultyProxy(server().endpoint);
  });
  afterEach(async () => {
    await salt?.close();
    await Promise.all([inside.close(), outside.close()]);
  });

  const keyOf = (sha256: string) => `${prefix}/${sha256.slice(0, 2)}/${sha256}`;
  const binaryOf = (built: Built) => {
    const [found] = built.binaries;
    if (found === undefined) throw new Error("The project should have a binary.");
    return found;
  };
  /** The same with a binary of many parts, which need not be executed. */
  const heavy = (folder: string): Built => {
    const bytes = Buffer.alloc(30_000_000, folder);
    const file = path.join(folder, "heavy");
    writeFileSync(file, bytes);
    const binary = { ...binaryOf(script), file, bytes: bytes.length, sha256: sha256(bytes) };
    const binaries = { [binary.platform]: { sha256: binary.sha256, bytes: binary.bytes } };
    return { ...script, manifest: { ...script.manifest, binaries }, binaries: [binary] };
  };
  const detours: string[] = [];
  const register = (by: Salt, built: Built) => {
    const onDetour = (why: string) => void detours.push(why);
    return registerProject({ client: by.client, onUpload: () => undefined, onDetour }, built);
  };
  const objects = async () =>
    (await server().client.send(new ListObjectsV2Command({ Bucket: server().bucket, Prefix: prefix }))).Contents ?? [];
  const start = async (publicEndpoint: string): Promise<Salt> => {
    const flags = ["--s3", `s3://${server().bucket}/${prefix}`, "--s3-endpoint", inside.url, "--s3-path-style"];
    salt = await startSalt({
      agents: 0,
      coordinator: [...flags, "--s3-public-endpoint", publicEndpoint],
      coordinatorEnv: server().env,
    });
    return salt;
  };
  const sizeOfRelease = async (by: Salt) => {
    const [row] = (await by.client.call("listReleases", {})).rows;
    const release = await by.client.call("getRelease", { params: { release: row?.id ?? "" } });
    const [binary] = Object.values(release.manifest.binaries);
    if (binary === undefined) throw new Error("The release should have a binary.");
    return binary;
  };
  const relayed = async (by: Salt, bytes: number) => {
    const { id } = await by.open("journeys/relay", { bytes });
    await by.settled(id, undefined, 60_000);
    return await by.output(id);
  };

  test("binaries and large outputs go between users, agents and the bucket; the coordinator sends and takes none of their bytes", async () => {
    const by = await start(outside.url);
    await buildJourneys();
    const registered = await by.salt(["register-workflow", project]);
    expect(registered).toMatchObject({ code: 0 });
    expect(registered.stderr).not.toContain("through the coordinator");
    const { sha256: name, bytes } = await sizeOfRelease(by);
    expect(outside.sentBytes()).toBe(bytes);
    await by.startAgent();
    expect(await relayed(by, 3_000_000)).toBe(3_000_000);
    const { id } = await by.open("journeys/single", { name: "large", input: { bytes: 500_000 } });
    await by.settled(id, undefined, 60_000);
    expect(await by.output(id)).toBe("x".repeat(500_000));
    expect(outside.answeredBytes()).toBeGreaterThan(bytes + 3_500_000);
    expect(outside.sentBytes()).toBeGreaterThan(bytes + 3_000_000);
    expect(inside.sentBytes() + inside.answeredBytes()).toBeLessThan(100_000);
    expect((await objects()).map(({ Key }) => Key)).toContain(keyOf(name));
    // Nor did anybody send a token there.
    expect(outside.headers.filter(({ authorization }) => authorization !== undefined)).toEqual([]);
    expect(outside.requests.every((request) => request.includes("X-Amz-Signature="))).toBe(true);
    expect(existsSync(path.join(by.folder, "coordinator", "blobs"))).toBe(false);
  }, 180_000);

  test("all of it goes through the coordinator when users and agents cannot reach the store, and they say so", async () => {
    const by = await start("http://127.0.0.1:1");
    await register(by, script);
    expect(detours.splice(0)).toEqual(["Cannot use the blob store at http://127.0.0.1:1: ECONNREFUSED."]);
    const { bytes } = binaryOf(script);
    expect(inside.sentBytes()).toBeGreaterThan(bytes);
    const agent = await by.startAgent();
    expect(await relayed(by, 3_000_000)).toBe(3_000_000);
    expect(inside.answeredBytes()).toBeGreaterThan(bytes + 3_000_000);
    expect(agent.stderr()).toContain("The blob store cannot be used directly");
    expect(agent.stderr()).not.toContain("X-Amz-Signature");
    expect(outside.requests).toEqual([]);
  }, 180_000);

  test("A13 a release is registered after its bytes are whole, or not at all, whatever the store does", async () => {
    const by = await start(outside.url);
    const built = heavy(by.folder);
    const listed = async () => (await by.client.call("listReleases", {})).rows;
    const busy = { kind: "answer", status: 503, code: "SlowDown" } as const;
    outside.fault = () => busy;
    inside.fault = ({ method }) => (method === "PUT" || method === "POST" ? busy : null);
    await expect(register(by, built)).rejects.toMatchObject({ code: "Unavailable" });
    expect([await listed(), await objects()]).toEqual([[], []]);
    // Straight to the store half of it comes, and then through the coordinator as well.
    outside.fault = () => ({ kind: "cutRequest", afterBytes: 10_000_000 });
    let parts = 0;
    inside.fault = ({ url }) => {
      if (url?.includes("partNumber=")) parts += 1;
      return parts > 2 && !url?.includes("uploads") ? busy : null;
    };
    await expect(register(by, built)).rejects.toMatchObject({ code: "Unavailable" });
    expect([await listed(), await objects()]).toEqual([[], []]);
    // The bytes come, and their answer does not.
    inside.fault = () => null;
    outside.fault = () => ({ kind: "cutAnswer", afterBytes: 0 });
    const registered = await register(by, built);
    outside.fault = () => null;
    expect((await listed()).map(({ id }) => id)).toEqual([registered.release]);
    await server().client.send(new HeadObjectCommand({ Bucket: server().bucket, Key: keyOf(binaryOf(built).sha256) }));
  }, 180_000);

  test("A13 a binary that is lost with its release registered fails tasks by name, and registering again mends it", async () => {
    const by = await start(outside.url);
    await register(by, script);
    await server().client.send(
      new DeleteObjectCommand({ Bucket: server().bucket, Key: keyOf(binaryOf(script).sha256) }),
    );
    await by.startAgent();
    const { id } = await by.open("journeys/relay", { bytes: 10 });
    const lost = await by.settled(id, undefined, 60_000);
    expect(lost).toMatchObject({ status: "failed", failure: { type: "WorkflowCrashLoop" } });
    expect(JSON.stringify(lost)).toContain("BinaryUnavailable");
    await register(by, script);
    expect(await relayed(by, 10)).toBe(10);
  }, 180_000);

  test("a coordinator does not start on a bucket that it cannot use, and salt doctor says the same", async () => {
    const env = { ...server().env, SALT_S3_URL: "s3://no-such-bucket/x", SALT_S3_ENDPOINT: server().endpoint };
    const by = await start(outside.url);
    const common = { cwd: by.folder, env: { ...by.env, ...env, SALT_S3_PATH_STYLE: "1" } };
    const refused = await runSalt(["coordinator", "--port", "0", "--data", path.join(by.folder, "other")], common);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("there is no bucket 'no-such-bucket'");
    expect(refused.stderr).toContain("Create the bucket");
    const doctor = await runSalt(["doctor"], common);
    expect(doctor.stdout).toContain("✖ blob store: Cannot write into bucket 'no-such-bucket'");
    const fine = { ...common.env, SALT_S3_URL: `s3://${server().bucket}/${prefix}` };
    const again = await runSalt(["doctor"], { cwd: by.folder, env: fine });
    expect(again.stdout).toContain(`✔ blob store: s3://${server().bucket}/${prefix} can be written and read`);
  }, 60_000);
});
