import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http, { type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, expect, test } from "vitest";
import { sha256 } from "#shared/domain/ids.ts";
import type { BuiltBinary } from "./build/toolchain.ts";
import { createClient, readText } from "./client.ts";
import { putIntoStore } from "./store-requests.ts";
import { type FakeApi, sendProblem, startFakeApi } from "./testing/fake-api.ts";
import { uploadBinary } from "./upload-binary.ts";

const text = "the bytes of a binary";
const digest = sha256(text);
const signature = "X-Amz-Signature=d3adb33f";

let folder: string;
let binary: BuiltBinary;
let store: http.Server;
let storeUrl: string;
let storeStatus: number;
let stored: { headers: IncomingMessage["headers"]; body: string }[];
let api: FakeApi;
let missing: string[];
let signed: () => unknown;
let detours: string[];
let sent: number[];

beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "salt-upload-test-"));
  const file = path.join(folder, "binary");
  writeFileSync(file, text);
  binary = { platform: "linux-x64", file, sha256: digest, bytes: text.length } as BuiltBinary;
  [storeStatus, stored, missing, detours, sent] = [200, [], [], [], []];
  store = http.createServer((request, answer) => {
    void readText(request).then((body) => {
      stored.push({ headers: request.headers, body });
      answer.writeHead(storeStatus).end();
    });
  });
  await new Promise<void>((resolve) => store.listen(0, "127.0.0.1", resolve));
  storeUrl = `http://127.0.0.1:${(store.address() as AddressInfo).port}`;
  const put = () => ({ url: `${storeUrl}/${digest}?${signature}`, headers: { "if-none-match": "*" } });
  signed = () => ({ present: false, put: put() });
  api = await startFakeApi({
    "POST /v1/blobs/*/upload": (_, answer) => signed() ?? sendProblem(answer, 404, "NotFound", "there is no such path"),
    "POST /v1/blobs/missing": () => ({ missing }),
    "PUT /v1/blobs/*": ({ body }) => ({ sha256: digest, bytes: String(body).length }),
  });
});
afterEach(async () => {
  store.closeAllConnections();
  await Promise.all([api.close(), new Promise((resolve) => store.close(resolve))]);
  rmSync(folder, { recursive: true });
});

const upload = () => {
  const client = createClient({ url: { value: api.url, origin: "test" }, token: { value: "secret", origin: "test" } });
  const told = {
    onDetour: (why: string) => void detours.push(why),
    onUpload: (_: unknown, n: number) => void sent.push(n),
  };
  return uploadBinary({ client, ...told }, binary);
};

test("a binary goes straight to the store, with what was signed and without the token", async () => {
  await upload();
  expect(api.requests).toEqual([`POST /v1/blobs/${digest}/upload`, "POST /v1/blobs/missing"]);
  expect(stored.map(({ body }) => body)).toEqual([text]);
  expect(Object.keys(stored[0]?.headers ?? {}).sort()).toEqual([
    "connection",
    "content-length",
    "host",
    "if-none-match",
  ]);
  expect(JSON.stringify(stored)).not.toContain("secret");
  expect([detours, sent.at(-1)]).toEqual([[], text.length]);
});

test("what the store or the coordinator has already needs no bytes of ours", async () => {
  storeStatus = 412;
  await upload();
  signed = () => ({ present: true, put: null });
  await upload();
  expect(stored).toHaveLength(1);
  expect(api.requests.filter((request) => request.startsWith("PUT"))).toEqual([]);
  expect(sent.at(-1)).toBe(text.length);
});

test("it goes through the coordinator when the store refuses, is not reached, or does not have it after, and says why", async () => {
  storeStatus = 403;
  await upload();
  storeStatus = 200;
  missing = [digest];
  await upload();
  const put = { url: `http://127.0.0.1:1/${digest}?${signature}`, headers: {} };
  signed = () => ({ present: false, put });
  await upload();
  expect(detours).toEqual([
    expect.stringMatching(/answered 403/),
    expect.stringMatching(/does not find/),
    expect.stringMatching(/http:\/\/127\.0\.0\.1:1: ECONNREFUSED/),
  ]);
  expect(detours.join()).not.toContain("d3adb33f");
  expect(api.requests.filter((request) => request === `PUT /v1/blobs/${digest}`)).toHaveLength(3);
});

test("it goes through a coordinator whose store takes none, or that does not know the question", async () => {
  signed = () => ({ present: false, put: null });
  await upload();
  signed = () => undefined;
  await upload();
  expect(api.requests.filter((request) => request === `PUT /v1/blobs/${digest}`)).toHaveLength(2);
  expect([stored, detours]).toEqual([[], []]);
});

test("bytes that would go to the coordinator by TLS do not go to the store without", async () => {
  const body = { stream: Readable.from([text]), bytes: text.length };
  const put = { url: `${storeUrl}/${digest}`, headers: {} };
  await expect(putIntoStore(put, body, { coordinatorUrl: "https://salt.example.com" })).rejects.toThrow("TLS");
  expect(stored).toEqual([]);
});
