import { request } from "node:http";
import { PassThrough, Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { describeWithS3, type S3Server } from "../../../tests/support/s3-server.ts";
import { describeBlobStore } from "../contract.ts";
import { createS3Blobs, type S3Blobs } from "./s3-blobs.ts";
import type { S3Options } from "./s3-options.ts";

const deps = { clock: systemClock, random: systemRandom };
const text = Buffer.from("the bytes of a blob");
const digest = sha256(text);
/** Two parts and a bit. */
const large = Buffer.alloc(2 * limits.blobPartBytes + 17, "salt ");

describeWithS3("S3", (server) => {
  let bucket: string;
  let prefix: string;
  let blobs: S3Blobs;
  const optionsOf = ({ endpoint, credentials }: S3Server): S3Options => ({
    url: `s3://${bucket}/${prefix}`,
    endpoint,
    credentials,
    pathStyle: true,
  });
  const open = (more: Partial<S3Options> = {}) => createS3Blobs({ ...optionsOf(server()), ...more }, deps);
  const keys = async () =>
    ((await server().client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix }))).Contents ?? []).map(
      ({ Key }) => Key,
    );
  const unfinished = async () =>
    (await server().client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix }))).Uploads ?? [];
  const keyOf = (name: string) => `${prefix}/${name.slice(0, 2)}/${name}`;

  beforeEach(async () => {
    bucket = server().bucket;
    prefix = server().newPrefix();
    blobs = await open();
  });
  afterEach(() => blobs.close());

  describeBlobStore("s3", () => {
    prefix = server().newPrefix();
    return open();
  });

  test("opening it finds out what the server does, and leaves nothing in the bucket", async () => {
    expect(blobs.findings).toEqual({ createOnly: true, bindsUploads: true, warnings: [] });
    expect(await keys()).toEqual([]);
  });

  test("a blob is an object named by its digest below the prefix and the digest's first two digits", async () => {
    await blobs.put(digest, text, 100);
    expect(await keys()).toEqual([keyOf(digest)]);
  });

  test("a stream of several parts is one object, of which any range can be read", async () => {
    const of = sha256(large);
    expect(await blobs.put(of, Readable.from([large]), large.byteLength)).toEqual({ bytes: large.byteLength });
    const across = { start: limits.blobPartBytes - 3, end: limits.blobPartBytes + 3 };
    const found = await blobs.get(of, across);
    expect(found && (await buffer(found.stream))).toEqual(large.subarray(across.start, across.end));
    const whole = await blobs.get(of);
    expect(whole && (await buffer(whole.stream)).equals(large)).toBe(true);
    expect(await blobs.has([of])).toEqual([large.byteLength]);
    expect(await unfinished()).toEqual([]);
  });

  test("a second put of the same digest changes nothing, in one request or in parts", async () => {
    const of = sha256(large);
    const times = async () =>
      Promise.all(
        [digest, of].map(async (name) => {
          const head = await server().client.send(new HeadObjectCommand({ Bucket: bucket, Key: keyOf(name) }));
          return head.LastModified?.getTime();
        }),
      );
    await blobs.put(digest, text, 100);
    await blobs.put(of, Readable.from([large]), large.byteLength);
    const before = await times();
    // LastModified counts seconds.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect(await blobs.put(digest, text, 100)).toEqual({ bytes: text.byteLength });
    expect(await blobs.put(of, Readable.from([large]), large.byteLength)).toEqual({ bytes: large.byteLength });
    expect(await times()).toEqual(before);
    expect(await unfinished()).toEqual([]);
  });

  test("A34 an upload in parts that breaks off, is too large or has another digest leaves neither object nor parts", async () => {
    const of = sha256(large);
    const broken = new PassThrough();
    broken.write(large.subarray(0, limits.blobPartBytes + 100));
    const refused = blobs.put(of, broken, large.byteLength);
    setTimeout(() => broken.destroy(new Error("the link was cut")), 200);
    await expect(refused).rejects.toThrow("the link was cut");
    const other = Buffer.from(large);
    other[large.length - 1] = 0;
    const wrong = blobs.put(of, Readable.from([other]), large.byteLength);
    await expect(wrong).rejects.toMatchObject({ code: "DigestMismatch" });
    const long = blobs.put(of, Readable.from([large, text]), large.byteLength);
    await expect(long).rejects.toMatchObject({ code: "TooLarge" });
    expect(await keys()).toEqual([]);
    expect(await unfinished()).toEqual([]);
  });

  test("A33 bytes that were changed behind Salt's back are told at the end of reading them; a part cannot be verified", async () => {
    const Key = keyOf(digest);
    await server().client.send(new PutObjectCommand({ Bucket: bucket, Key, Body: "the bytes of a bloB" }));
    const damaged = await blobs.get(digest);
    await expect(damaged && buffer(damaged.stream)).rejects.toMatchObject({ code: "DigestMismatch" });
    const asRange = await blobs.get(digest, { start: 0, end: text.length });
    await expect(asRange && buffer(asRange.stream)).rejects.toMatchObject({ code: "DigestMismatch" });
    const part = await blobs.get(digest, { start: 4, end: 9 });
    expect(part && (await buffer(part.stream)).toString()).toBe("bytes");
    await server().client.send(new PutObjectCommand({ Bucket: bucket, Key, Body: Buffer.alloc(0) }));
    const emptied = await blobs.get(digest);
    await expect(emptied && buffer(emptied.stream)).rejects.toMatchObject({ code: "DigestMismatch" });
    // It is not replaced, and the answer says what to do.
    await expect(blobs.put(digest, text, 100)).rejects.toMatchObject({
      code: "DigestMismatch",
      next: expect.stringContaining(Key),
    });
  });

  test("encryption that is asked for is what objects have, put by the coordinator or by a presigned request", async () => {
    const encrypted = await open({ sse: "AES256" });
    const other = Buffer.from("other bytes");
    await encrypted.put(digest, text, 100);
    const signed = await encrypted.presign(sha256(other), { method: "PUT", bytes: other.length }, 60_000);
    if (signed === null) throw new Error("It should be presigned.");
    expect((await fetch(signed.url, { method: "PUT", headers: signed.headers, body: other })).status).toBe(200);
    for (const name of [digest, sha256(other)]) {
      const head = await server().client.send(new HeadObjectCommand({ Bucket: bucket, Key: keyOf(name) }));
      expect(head.ServerSideEncryption).toBe("AES256");
    }
    const found = await encrypted.get(digest);
    expect(found && (await buffer(found.stream))).toEqual(text);
    await encrypted.close();
  });

  describe("presigned requests", () => {
    const put = async (of: typeof digest, bytes: number) => {
      const signed = await blobs.presign(of, { method: "PUT", bytes }, 60_000);
      if (signed === null) throw new Error("It should be presigned.");
      return (body: Buffer | string, headers: Record<string, string> = signed.headers, url = signed.url) =>
        fetch(url, { method: "PUT", body, headers }).then(({ status }) => status);
    };

    test("a download is one of that blob, with ranges, until it expires", async () => {
      await blobs.put(digest, text, 100);
      const signed = await blobs.presign(digest, { method: "GET" }, 1_000);
      const url = signed?.url ?? "";
      expect(await (await fetch(url)).text()).toBe(text.toString());
      expect(await (await fetch(url, { headers: { range: "bytes=4-8" } })).text()).toBe("bytes");
      const other = sha256("other");
      expect((await fetch(url.replace(keyOf(digest), keyOf(other)))).status).toBe(403);
      expect((await fetch(url, { method: "DELETE" })).status).toBe(403);
      await expect.poll(async () => (await fetch(url)).status, { timeout: 10_000 }).toBe(403);
    });

    test("an upload takes the bytes of its digest and no others, whatever its holder sends", async () => {
      const upload = await put(digest, text.length);
      const others = Buffer.from("THE BYTES OF A BLOB");
      const otherDigest = Buffer.from(sha256(others), "hex").toString("base64");
      expect(await upload(others)).toBe(400);
      expect(await upload(others, { "if-none-match": "*" })).toBe(403);
      expect(await upload(others, { "if-none-match": "*", "x-amz-checksum-sha256": otherDigest })).toBe(403);
      expect(await upload(Buffer.concat([text, text]))).toBe(403);
      expect(await keys()).toEqual([]);
      expect(await upload(text)).toBe(200);
      expect(await blobs.has([digest])).toEqual([text.length]);
    });

    test("an upload cannot replace what is there, nor go to another key", async () => {
      const upload = await put(digest, text.length);
      const signed = await blobs.presign(digest, { method: "PUT", bytes: text.length }, 60_000);
      const { "if-none-match": condition, ...without } = signed?.headers ?? {};
      expect(condition).toBe("*");
      expect(await upload(text)).toBe(200);
      expect(await upload(text)).toBe(412);
      expect(await upload(text, without)).toBe(403);
      const elsewhere = signed?.url.replace(keyOf(digest), keyOf(sha256("other"))) ?? "";
      expect(await upload(text, signed?.headers, elsewhere)).toBe(403);
    });

    test("they name the address that agents have, and the bucket by host name unless told otherwise", async () => {
      const port = new URL(server().endpoint).port;
      const shared = await open({ publicEndpoint: "https://blobs.example.com" });
      const signed = await shared.presign(digest, { method: "GET" }, 60_000);
      expect(new URL(signed?.url ?? "").origin).toBe("https://blobs.example.com");
      await shared.put(digest, text, 100);
      await shared.close();
      // `<bucket>.localhost` has no address here, so the request is sent to the server by hand.
      const virtual = { publicEndpoint: `http://localhost:${port}`, pathStyle: false };
      const byHost = await open(virtual);
      const url = new URL((await byHost.presign(digest, { method: "GET" }, 60_000))?.url ?? "");
      await byHost.close();
      expect(url.host).toBe(`${bucket}.localhost:${port}`);
      const status = await new Promise((resolve, reject) => {
        const path = url.pathname + url.search;
        const sent = request({ host: "127.0.0.1", port, path, headers: { host: url.host } }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        });
        sent.on("error", reject).end();
      });
      expect(status).toBe(200);
    });
  });

  test("A13 what was put is there after the server was killed and started again", async () => {
    const of = sha256(large);
    await blobs.put(digest, text, 100);
    await blobs.put(of, Readable.from([large]), large.byteLength);
    await server().kill();
    await expect(blobs.put(sha256("x"), Buffer.from("x"), 1)).rejects.toMatchObject({
      code: "Unavailable",
      retryable: true,
      next: expect.stringContaining("--s3-endpoint"),
    });
    await server().restart();
    await expect
      .poll(() => blobs.has([digest, of]).catch(() => null), { timeout: 20_000 })
      .toEqual([text.length, large.length]);
    const read = async () => {
      const found = await blobs.get(of);
      return found && (await buffer(found.stream)).equals(large);
    };
    await expect.poll(() => read().catch(() => null), { timeout: 20_000 }).toBe(true);
    const object = await server().client.send(new GetObjectCommand({ Bucket: bucket, Key: keyOf(digest) }));
    expect(await object.Body?.transformToString()).toBe(text.toString());
  }, 60_000);
});
