import { closeSync, createReadStream, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Sha256, sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { FakeCoordinator } from "../fakes/fake-coordinator.ts";
import { type BlobClient, createBlobClient } from "./blob-client.ts";
import { getFromStore, putIntoStore, StoreFailure } from "./store-requests.ts";

/** A blob store as an agent sees it, which does as it is told. */
class FakeStore {
  readonly requests: { method: string; url: string; headers: IncomingMessage["headers"]; bytes: Buffer }[] = [];
  status = 200;
  body: Buffer = Buffer.alloc(0);
  readonly #http: Server;

  constructor() {
    this.#http = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part) => parts.push(part));
      request.on("end", () => {
        const { method = "", url = "", headers } = request;
        this.requests.push({ method, url, headers, bytes: Buffer.concat(parts) });
        response.writeHead(this.status, { location: "http://127.0.0.1:1/" }).end(this.body);
      });
    });
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve) => this.#http.listen(0, "127.0.0.1", resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }
}

let coordinator: FakeCoordinator;
let store: FakeStore;
let folder: string;
let client: BlobClient;
let warnings: string[];
let laterMs: number;
const text = Buffer.from("the bytes of a blob");
const digest = sha256(text);
const signature = "X-Amz-Signature=d3adb33f";

beforeEach(async () => {
  coordinator = new FakeCoordinator();
  store = new FakeStore();
  await Promise.all([coordinator.open(), store.open()]);
  folder = mkdtempSync(join(tmpdir(), "salt-direct-test-"));
  warnings = [];
  laterMs = 0;
  const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + laterMs };
  const logger = { warn: (fields: object) => void warnings.push(JSON.stringify(fields)) };
  client = createBlobClient({ url: coordinator.url, token: "secret" }, { clock, random: systemRandom, logger });
  store.body = text;
  coordinator.add(text);
  redirectTo(() => `${store.url}/bucket/${digest}?${signature}`);
});
afterEach(async () => {
  await Promise.all([coordinator.close(), store.close()]);
  rmSync(folder, { recursive: true, force: true });
});

/** Has the coordinator send those who ask for it elsewhere; the others get the bytes. */
function redirectTo(location: () => string): void {
  coordinator.serveBlob = (request, response) => {
    if (request.method !== "GET" || !request.url?.endsWith("?direct=true")) return false;
    response.writeHead(307, { location: location() }).end();
    return true;
  };
}

async function fetchText(): Promise<string> {
  const file = join(folder, "fetched");
  await client.fetchTo(digest, file, { bytesMax: 100, mode: 0o600 });
  return readFileSync(file, "utf8");
}

/** As though the coordinator did not have it yet. */
function signUploads(): void {
  coordinator.blobs.clear();
  coordinator.signUpload = (of) => ({
    url: `${store.url}/bucket/${of}?${signature}`,
    headers: { "if-none-match": "*" },
  });
}

test("A blob comes straight from the store, and the token does not go there", async () => {
  expect(await fetchText()).toBe(text.toString());
  expect(store.requests.map(({ url }) => url)).toEqual([`/bucket/${digest}?${signature}`]);
  expect(store.requests[0]?.headers).not.toHaveProperty("authorization");
  expect(JSON.stringify(store.requests)).not.toContain("secret");
  expect(coordinator.gets).toHaveLength(1);
});

test("A blob goes straight to the store with the headers that were signed and no others, and the coordinator is asked after", async () => {
  signUploads();
  const asked: string[] = [];
  coordinator.serveBlob = (request) => {
    asked.push(`${request.method} ${request.url}`);
    if (request.url === "/v1/blobs/missing") coordinator.blobs.set(digest, text);
    return false;
  };
  const file = join(folder, "file");
  writeFileSync(file, text);
  const fd = openSync(file, "r");
  await client.put(digest, { fd, bytes: text.length });
  closeSync(fd);
  expect(store.requests).toMatchObject([{ method: "PUT", bytes: text, headers: { "if-none-match": "*" } }]);
  expect(Object.keys(store.requests[0]?.headers ?? {}).sort()).toEqual([
    "connection",
    "content-length",
    "host",
    "if-none-match",
  ]);
  expect(asked).toEqual([`POST /v1/blobs/${digest}/upload`, "POST /v1/blobs/missing"]);
});

test("A blob that is there needs no bytes, whether the coordinator knows it or the store finds it", async () => {
  await client.put(digest, text);
  expect(store.requests).toEqual([]);
  signUploads();
  store.status = 412;
  coordinator.serveBlob = (request) => {
    if (request.url === "/v1/blobs/missing") coordinator.blobs.set(digest, text);
    expect(request.method).not.toBe("PUT");
    return false;
  };
  await client.put(digest, text);
  expect(store.requests).toHaveLength(1);
});

test("What the store took, but the coordinator does not find, goes through the coordinator", async () => {
  signUploads();
  await client.put(digest, text);
  expect(store.requests).toHaveLength(1);
  expect(coordinator.blobs.get(digest)).toEqual(text);
});

test("A34 other bytes, more bytes and cut bytes from the store are refused, and come through the coordinator", async () => {
  for (const body of [Buffer.from("THE BYTES OF A BLOB"), Buffer.alloc(1_000), text.subarray(0, 5)]) {
    store.body = body;
    expect(await fetchText()).toBe(text.toString());
    laterMs += limits.directPauseMs;
  }
  expect(store.requests).toHaveLength(3);
});

test("A store that cannot be reached, or refuses, is left alone for a while, and bytes go through the coordinator", async () => {
  redirectTo(() => `http://127.0.0.1:1/?${signature}`);
  expect(await fetchText()).toBe(text.toString());
  expect(warnings).toEqual([JSON.stringify({ reason: "ECONNREFUSED" })]);
  redirectTo(() => `${store.url}/${digest}?${signature}`);
  expect(await fetchText()).toBe(text.toString());
  expect(store.requests).toHaveLength(0);
  laterMs += limits.directPauseMs;
  // As for clocks that differ.
  store.status = 403;
  expect(await fetchText()).toBe(text.toString());
  expect(store.requests).toHaveLength(1);
  signUploads();
  await client.put(digest, text);
  expect(store.requests).toHaveLength(1);
  laterMs += limits.directPauseMs;
  coordinator.blobs.clear();
  const file = join(folder, "file");
  writeFileSync(file, text);
  const fd = openSync(file, "r");
  await client.put(digest, { fd, bytes: text.length });
  closeSync(fd);
  expect(store.requests).toHaveLength(2);
  expect(coordinator.blobs.get(digest)).toEqual(text);
  expect(warnings.join()).not.toContain("d3adb33f");
});

test("A store that is busy is asked again before the coordinator is", async () => {
  store.status = 503;
  expect(await fetchText()).toBe(text.toString());
  expect(store.requests).toHaveLength(4);
  expect(warnings).toEqual([]);
});

test("A store that does not have the blob says nothing about others: the coordinator is asked for this one", async () => {
  store.status = 404;
  expect(await fetchText()).toBe(text.toString());
  store.status = 200;
  expect(await fetchText()).toBe(text.toString());
  expect(store.requests).toHaveLength(2);
});

test("A redirect of the store is not followed, and neither is one to anything but HTTP", async () => {
  store.status = 302;
  expect(await fetchText()).toBe(text.toString());
  laterMs += limits.directPauseMs;
  redirectTo(() => "file:///etc/passwd");
  expect(await fetchText()).toBe(text.toString());
  expect(warnings).toHaveLength(2);
});

test("Bytes that would come from the coordinator by TLS do not come from the store without", async () => {
  const deps = { clock: systemClock, root: "https://salt.example.com" };
  await expect(getFromStore(deps, `${store.url}/${digest}`)).rejects.toThrow("TLS");
  expect(store.requests).toEqual([]);
});

test("A file that is put into a store which is not there ends as one that the store did not take", async () => {
  const deps = { clock: systemClock, root: "http://127.0.0.1:1" };
  const put = { url: `http://127.0.0.1:1/?${signature}`, headers: {} };
  const failed = putIntoStore(deps, put, { content: createReadStream(import.meta.filename), bytes: 10 });
  await expect(failed).rejects.toThrow(StoreFailure);
});

test("A coordinator of before there were such questions is given the bytes", async () => {
  coordinator.blobs.clear();
  coordinator.serveBlob = (request, response) => {
    if (request.method !== "POST") return false;
    response.writeHead(404).end();
    return true;
  };
  await client.put(digest as Sha256, text);
  expect(coordinator.blobs.get(digest)).toEqual(text);
});
