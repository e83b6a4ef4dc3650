import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { CreateMultipartUploadCommand, ListMultipartUploadsCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { afterEach, beforeEach, expect, test } from "vitest";
import { sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { type Fault, type FaultyProxy, startFaultyProxy } from "../../../tests/support/faulty-proxy.ts";
import { describeWithS3 } from "../../../tests/support/s3-server.ts";
import { createS3Blobs, type S3Blobs } from "./s3-blobs.ts";
import type { S3Options } from "./s3-options.ts";

const deps = { clock: systemClock, random: systemRandom };
const text = Buffer.from("the bytes of a blob");
const digest = sha256(text);
const large = Buffer.alloc(2 * limits.blobPartBytes + 17, "salt ");
const slowDown: Fault = { kind: "answer", status: 503, code: "SlowDown" };

describeWithS3("S3 behind a bad network", (server) => {
  let prefix: string;
  let proxy: FaultyProxy;
  let blobs: S3Blobs;
  const options = (): S3Options => ({
    url: `s3://${server().bucket}/${prefix}`,
    endpoint: proxy.url,
    credentials: server().credentials,
    pathStyle: true,
  });
  const open = (more: Partial<S3Options> = {}, otherDeps: object = {}) =>
    createS3Blobs({ ...options(), ...more }, { ...deps, ...otherDeps });
  const left = async () => {
    const where = { Bucket: server().bucket, Prefix: prefix };
    const [objects, parts] = await Promise.all([
      server().client.send(new ListObjectsV2Command(where)),
      server().client.send(new ListMultipartUploadsCommand(where)),
    ]);
    return [...(objects.Contents ?? []), ...(parts.Uploads ?? [])].map(({ Key }) => Key);
  };
  /** The next `times` requests that match are befallen by it. */
  const befall = (fault: Fault, times: number, which: (request: IncomingMessage) => boolean = () => true) => {
    let rest = times;
    proxy.fault = (request) => {
      if (rest === 0 || !which(request)) return null;
      rest -= 1;
      return fault;
    };
  };
  const isPart = (request: IncomingMessage) => request.url?.includes("partNumber=") === true;
  const isPut = (request: IncomingMessage) => request.method === "PUT";

  beforeEach(async () => {
    prefix = server().newPrefix();
    proxy = await startFaultyProxy(server().endpoint);
    blobs = await open();
    proxy.requests.length = 0;
  });
  afterEach(async () => {
    proxy.fault = () => null;
    await blobs.close();
    await proxy.close().catch(() => undefined);
  });

  test("a store that does not answer is given up after two tries at the start, and told of", async () => {
    befall({ kind: "delay", ms: 10_000 }, Number.POSITIVE_INFINITY);
    await expect(open({}, { idleMs: 50 })).rejects.toMatchObject({
      code: "Unavailable",
      retryable: true,
      message: expect.stringMatching(/^Cannot write into bucket .*cannot be reached/),
    });
    // The write, and the removal of what it may have written.
    expect(proxy.requests.map((request) => request.split(" ", 1)[0])).toEqual(["PUT", "PUT", "DELETE", "DELETE"]);
  });

  test("A13 a store that asks to slow down is asked again, and nobody notices", async () => {
    befall(slowDown, 2);
    await blobs.put(digest, text, 100);
    befall(slowDown, 2);
    expect(await blobs.has([digest])).toEqual([text.length]);
    befall(slowDown, 2);
    const found = await blobs.get(digest);
    expect(found && (await buffer(found.stream))).toEqual(text);
    befall(slowDown, 2, isPart);
    await blobs.put(sha256(large), Readable.from([large]), large.length);
    expect(await blobs.has([sha256(large)])).toEqual([large.length]);
  });

  test("A13 one that goes on asking is Unavailable, to be tried again later; nothing is left of the upload", async () => {
    const twice = await open({}, { triesMax: 2 });
    proxy.requests.length = 0;
    befall(slowDown, Number.POSITIVE_INFINITY);
    const unavailable = { code: "Unavailable", retryable: true, message: expect.stringContaining("slow down") };
    const attempts = [twice.put(digest, text, 100), twice.has([digest]), twice.get(digest), twice.delete(digest)];
    for (const attempt of await Promise.allSettled(attempts)) {
      expect(attempt).toMatchObject({ status: "rejected", reason: unavailable });
    }
    expect(proxy.requests).toHaveLength(4 * 2);
    proxy.fault = (request) => (isPart(request) ? slowDown : null);
    const source = Readable.from([large]);
    await expect(twice.put(sha256(large), source, large.length)).rejects.toMatchObject(unavailable);
    await twice.close();
    expect(source.destroyed).toBe(true);
    proxy.fault = () => null;
    expect(await left()).toEqual([]);
    expect(await blobs.has([digest, sha256(large)])).toEqual([null, null]);
  }, 60_000);

  test("A13 a PUT that is cut in the middle leaves nothing half, and is made again", async () => {
    const half = { kind: "cutRequest", afterBytes: 1_000_000 } as const;
    const some = large.subarray(0, 3_000_000);
    befall(half, Number.POSITIVE_INFINITY, isPut);
    await expect(blobs.put(sha256(some), some, some.length)).rejects.toMatchObject({ code: "Unavailable" });
    await expect(blobs.put(sha256(large), Readable.from([large]), large.length)).rejects.toMatchObject({
      code: "Unavailable",
    });
    proxy.fault = () => null;
    await expect.poll(left, { timeout: 10_000 }).toEqual([]);
    befall(half, 1, isPut);
    await blobs.put(sha256(some), some, some.length);
    befall(half, 1, isPart);
    await blobs.put(sha256(large), Readable.from([large]), large.length);
    expect(await blobs.has([sha256(some), sha256(large)])).toEqual([some.length, large.length]);
  });

  test("A13 while the store takes nothing, an upload is read no further than what may be on its way", async () => {
    let pulled = 0;
    const chunk = Buffer.alloc(1024 * 1024, "salt ");
    const endless = Readable.from(
      (function* () {
        for (;;) {
          pulled += chunk.length;
          yield chunk;
        }
      })(),
    );
    let parts = 0;
    const held = { kind: "delay", ms: 60_000 } as const;
    proxy.fault = (request) => {
      if (!isPart(request)) return null;
      parts += 1;
      return held;
    };
    const put = blobs.put(sha256(large), endless, Number.MAX_SAFE_INTEGER);
    await expect.poll(() => parts, { timeout: 10_000 }).toBe(limits.blobPartsInFlight);
    let before = -1;
    await expect
      .poll(
        () => {
          const still = pulled === before;
          before = pulled;
          return still;
        },
        { interval: 200, timeout: 10_000 },
      )
      .toBe(true);
    expect(pulled).toBeLessThanOrEqual(limits.blobPartBytes * (limits.blobPartsInFlight + 1) + 4 * chunk.length);
    endless.destroy(new Error("the link was cut"));
    proxy.fault = () => null;
    await proxy.close();
    await expect(put).rejects.toThrow();
  }, 60_000);

  test("A13 an upload whose answer was lost is found to be there", async () => {
    befall({ kind: "cutAnswer", afterBytes: 0 }, 1);
    expect(await blobs.put(digest, text, 100)).toEqual({ bytes: text.length });
    expect(proxy.requests.length).toBeGreaterThan(1);
    const completes = (request: IncomingMessage) => request.method === "POST" && /uploadId=/.test(request.url ?? "");
    befall({ kind: "cutAnswer", afterBytes: 0 }, 1, completes);
    expect(await blobs.put(sha256(large), Readable.from([large]), large.length)).toEqual({ bytes: large.length });
    expect(await left()).toHaveLength(2);
    const found = await blobs.get(sha256(large));
    expect(found && (await buffer(found.stream)).equals(large)).toBe(true);
  });

  test("A13 a download that is cut goes on where it was cut", async () => {
    await blobs.put(sha256(large), large, large.length);
    proxy.requests.length = 0;
    befall({ kind: "cutAnswer", afterBytes: 5_000_000 }, 3);
    const found = await blobs.get(sha256(large));
    expect(found && (await buffer(found.stream)).equals(large)).toBe(true);
    expect(proxy.requests.length).toBe(4);
    expect(proxy.answeredBytes()).toBeLessThan(large.length + 4_000_000);
    befall({ kind: "cutAnswer", afterBytes: 0 }, Number.POSITIVE_INFINITY);
    await expect(blobs.get(sha256(large))).rejects.toMatchObject({ code: "Unavailable", retryable: true });
  });

  test("A13 a store that goes silent is given up after a time, and asked again", async () => {
    const impatient = await open({}, { idleMs: 300 });
    await impatient.put(digest, text, 100);
    befall({ kind: "delay", ms: 3_000 }, 2);
    expect(await impatient.has([digest])).toEqual([text.length]);
    befall({ kind: "delay", ms: 3_000 }, Number.POSITIVE_INFINITY);
    await expect(impatient.has([digest])).rejects.toMatchObject({ code: "Unavailable", retryable: true });
    await impatient.close();
  });

  test("A34 bytes that change on their way are told, whether they come or go", async () => {
    await blobs.put(digest, text, 100);
    befall({ kind: "spoil" }, 1);
    const found = await blobs.get(digest);
    await expect(found && buffer(found.stream)).rejects.toMatchObject({ code: "DigestMismatch" });
  });

  test("the parts that a killed coordinator left are removed a day later, those of others are not", async () => {
    const { bucket, client } = server();
    const begin = (Key: string) => client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key }));
    const [own, foreign] = [`${prefix}/${digest.slice(0, 2)}/${digest}`, `${prefix}/somebody-else`];
    await begin(own);
    await begin(foreign);
    const at = (ms: number) => ({ clock: { ...systemClock, nowMs: () => systemClock.nowMs() + ms } });
    await (await open({}, at(limits.blobUploadAgeMs / 2))).close();
    expect((await left()).sort()).toEqual([own, foreign].sort());
    await (await open({}, at(limits.blobUploadAgeMs + 60_000))).close();
    expect(await left()).toEqual([foreign]);
  });

  test("a store without If-None-Match is used without it, and its warning says so", async () => {
    const conditional = (request: IncomingMessage) => request.headers["if-none-match"] !== undefined;
    proxy.fault = (request) => (conditional(request) ? { kind: "answer", status: 501, code: "NotImplemented" } : null);
    const without = await open();
    expect(without.findings).toMatchObject({
      createOnly: false,
      warnings: [{ finding: expect.stringContaining("If-None") }],
    });
    await without.put(digest, text, 100);
    await without.put(digest, text, 100);
    const signed = await without.presign(digest, { method: "PUT", bytes: text.length }, 60_000);
    expect(signed?.headers).not.toHaveProperty("if-none-match");
    await without.close();
    // One that passes over what it does not know.
    let conditionals = 0;
    proxy.fault = (request) => {
      if (conditional(request)) conditionals += 1;
      return conditional(request) && conditionals === 2 ? { kind: "answer", status: 200, code: "" } : null;
    };
    const ignoring = await open();
    expect(ignoring.findings.createOnly).toBe(false);
    await ignoring.close();
  });

  test("a store that does not compare uploads with their digest gets none by presigned request", async () => {
    proxy.fault = (request) =>
      isPut(request) && request.url?.includes("X-Amz-Signature") ? { kind: "answer", status: 200, code: "" } : null;
    const unbound = await open();
    expect(unbound.findings).toMatchObject({ bindsUploads: false, warnings: [{ next: expect.any(String) }] });
    expect(await unbound.presign(digest, { method: "PUT", bytes: 19 }, 60_000)).toBeNull();
    expect(await unbound.presign(digest, { method: "GET" }, 60_000)).not.toBeNull();
    await unbound.close();
  });

  test("a store that cannot be used says why, and what to do, when it is opened", async () => {
    const answer = (status: number, code: string, headers: Record<string, string> = {}) => {
      proxy.fault = () => ({ kind: "answer", status, code, headers });
      return open();
    };
    const refusal = async (opened: Promise<unknown>) => {
      const error = (await opened.catch((reason: unknown) => reason)) as {
        code: string;
        retryable: boolean;
        next: string;
      };
      expect(error).toMatchObject({ code: "Unavailable", message: expect.stringMatching(/^Cannot write into bucket/) });
      return error;
    };
    expect((await refusal(open({ url: "s3://no-such-bucket" }))).next).toContain("Create the bucket");
    expect((await refusal(open({ credentials: server().readerCredentials }))).next).toContain("s3:PutObject");
    const wrong = { accessKeyId: server().credentials.accessKeyId, secretAccessKey: "wrong" };
    expect((await refusal(open({ credentials: wrong }))).next).toContain("AWS_SECRET_ACCESS_KEY");
    expect((await refusal(open({ endpoint: "http://127.0.0.1:1" }))).retryable).toBe(true);
    const region = { "x-amz-bucket-region": "eu-west-1" };
    expect((await refusal(answer(301, "PermanentRedirect", region))).next).toBe("Give --s3-region eu-west-1.");
    expect((await refusal(answer(400, "AuthorizationHeaderMalformed"))).next).toContain("--s3-region");
    expect((await refusal(answer(400, "ExpiredToken"))).next).toContain("Renew");
    expect((await refusal(answer(403, "RequestTimeTooSkewed"))).next).toContain("time server");
    expect((await refusal(answer(400, "KMS.DisabledException"))).next).toContain("--s3-sse");
    const about = async (fault: Fault, which: (request: IncomingMessage) => boolean) => {
      befall(fault, Number.POSITIVE_INFINITY, which);
      return (await open().catch((reason: unknown) => reason)) as { code: string; message: string; next: string };
    };
    const unlisted = await about({ kind: "answer", status: 403, code: "" }, ({ method }) => method === "HEAD");
    expect(unlisted).toMatchObject({ code: "Unavailable", next: expect.stringContaining("s3:ListBucket") });
    const isSigned = ({ url }: IncomingMessage) => url?.includes("X-Amz-Signature") === true;
    const cut = await about({ kind: "cutRequest", afterBytes: 0 }, isSigned);
    expect(cut).toMatchObject({ code: "Unavailable", message: expect.stringContaining("try a signed upload") });
    proxy.fault = () => ({ kind: "answer", status: 507, code: "XMinioStorageFull" });
    await expect(open()).rejects.toMatchObject({ code: "NoSpace" });
  });

  test("options that are none are refused, and say what is one", async () => {
    const bad: Partial<S3Options>[] = [
      { url: "https://bucket" },
      { url: "s3://b" },
      { url: "s3://bucket/../other" },
      { endpoint: "ftp://127.0.0.1" },
      { endpoint: "http://user:secret@127.0.0.1" },
      { publicEndpoint: "127.0.0.1:8333" },
      { sse: "rot13" },
    ];
    for (const more of bad) {
      await expect(open(more)).rejects.toMatchObject({ code: "BadRequest", next: expect.any(String) });
    }
  });
});
