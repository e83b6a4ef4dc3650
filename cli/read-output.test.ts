import http, { type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { sha256 } from "#shared/domain/ids.ts";
import type { RunView } from "#shared/protocol/api.ts";
import { createClient } from "./client.ts";
import { readOutput } from "./read-output.ts";
import { type FakeApi, startFakeApi } from "./testing/fake-api.ts";

const text = JSON.stringify("x".repeat(20_000));
const run = { id: "run_1", output: { blob: sha256(text), bytes: text.length } } as unknown as RunView;

let store: http.Server;
let stored: { headers: IncomingMessage["headers"] }[];
let answers: { status: number; body: string };
let location: string | null;
let api: FakeApi;

beforeEach(async () => {
  stored = [];
  answers = { status: 200, body: text };
  store = http.createServer((request, answer) => {
    stored.push({ headers: request.headers });
    answer.writeHead(answers.status).end(answers.body);
  });
  await new Promise<void>((resolve) => store.listen(0, "127.0.0.1", resolve));
  location = `http://127.0.0.1:${(store.address() as AddressInfo).port}/blob?X-Amz-Signature=1`;
  api = await startFakeApi({
    "GET /v1/blobs/*": (_, answer) =>
      location === null ? answer.writeHead(200).end(text) : answer.writeHead(307, { location }).end(),
    "GET /v1/runs/*/output": () => "x".repeat(20_000),
  });
});
afterEach(async () => {
  store.closeAllConnections();
  await Promise.all([api.close(), new Promise((resolve) => store.close(resolve))]);
});

const read = (of: RunView = run) =>
  readOutput(createClient({ url: { value: api.url, origin: "test" }, token: { value: "secret", origin: "test" } }), of);

test("a large output comes straight from the store, where the token does not go", async () => {
  expect(await read()).toBe(text);
  expect(stored).toHaveLength(1);
  expect(JSON.stringify(stored)).not.toContain("secret");
  expect(api.requests).toEqual([`GET /v1/blobs/${sha256(text)}`]);
});

test("it comes from the coordinator when the store refuses, is not reached, or gives other bytes", async () => {
  const bad = [
    { status: 403, body: "" },
    { status: 302, body: "" },
    { status: 200, body: text.replace("x", "y") },
    { status: 200, body: `${text} ` },
  ];
  for (answers of bad) expect(await read()).toBe(text);
  location = "http://127.0.0.1:1/";
  expect(await read()).toBe(text);
  expect(api.requests.filter((request) => request.endsWith("/output"))).toHaveLength(5);
});

test("a coordinator whose store has no such requests gives the bytes at once, and small outputs are not asked for there", async () => {
  location = null;
  expect(await read()).toBe(text);
  expect(await read({ id: "run_1", output: { json: "1" } } as unknown as RunView)).toBe(text);
  expect(api.requests).toEqual([`GET /v1/blobs/${sha256(text)}`, "GET /v1/runs/run_1/output"]);
  expect(stored).toEqual([]);
});
