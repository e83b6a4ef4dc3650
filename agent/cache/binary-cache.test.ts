import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { chmod } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Sha256 } from "#shared/domain/ids.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { FakeCoordinator } from "../fakes/fake-coordinator.ts";
import { silentLogger } from "../fakes/stand.ts";
import { BinaryCache } from "./binary-cache.ts";
import { createBinaryFiles } from "./binary-files.ts";
import { createBlobClient } from "./blob-client.ts";

let coordinator: FakeCoordinator;
let folder: string;
const never = () => new AbortController().signal;

beforeEach(async () => {
  coordinator = new FakeCoordinator();
  await coordinator.open();
  folder = mkdtempSync(join(tmpdir(), "salt-cache-test-"));
});
afterEach(async () => {
  await coordinator.close();
  rmSync(folder, { recursive: true, force: true });
});

async function openCache(bytesMax = 1_000): Promise<BinaryCache> {
  const deps = { clock: systemClock, random: systemRandom, logger: silentLogger };
  const blobs = createBlobClient({ url: coordinator.url, token: "secret" }, deps);
  const cache = new BinaryCache({ ...deps, blobs, files: createBinaryFiles(folder) }, bytesMax);
  await cache.open();
  return cache;
}

const binary = (letter: string, size = 300) => {
  const bytes = Buffer.alloc(size, letter);
  return { bytes, sha256: coordinator.add(bytes) };
};

test("A binary is fetched once, verified, made executable by its owner only, and survives a restart", async () => {
  const cache = await openCache();
  const { sha256, bytes } = binary("a");
  expect(cache.ready(sha256)).toBeNull();
  const path = await cache.acquire(sha256, 300, never());
  expect(readFileSync(path)).toEqual(bytes);
  expect(statSync(path).mode & 0o777).toBe(0o500);
  expect(cache.ready(sha256)).toBe(path);
  const next = await openCache();
  expect(next.ready(sha256)).toBeNull();
  expect(await next.acquire(sha256, 300, never())).toBe(path);
  expect(coordinator.gets).toEqual([sha256]);
});

test("A33 a flipped bit is found before the first use in a life, and the binary fetched again", async () => {
  const { sha256, bytes } = binary("a");
  const path = await (await openCache()).acquire(sha256, 300, never());
  await chmod(path, 0o700);
  const flipped = Buffer.from(bytes);
  flipped[100] = (flipped[100] ?? 0) ^ 1;
  writeFileSync(path, flipped);
  const next = await openCache();
  expect(readFileSync(await next.acquire(sha256, 300, never()))).toEqual(bytes);
  expect(coordinator.gets).toEqual([sha256, sha256]);
});

test("A34 a download that is cut short, or has other bytes of the right length, is never put in place", async () => {
  const cache = await openCache();
  const { sha256 } = binary("a");
  const answers = ["short", "wrong", "long"];
  coordinator.serveBlob = (_request, response) => {
    const answer = answers.shift();
    if (answer === undefined) return false;
    expect(existsSync(join(folder, sha256))).toBe(false);
    if (answer === "short") {
      response.writeHead(200, { "content-length": 300 });
      response.write(Buffer.alloc(100, "a"), () => response.destroy());
    } else response.writeHead(200).end(Buffer.alloc(answer === "wrong" ? 300 : 5_000, "b"));
    return true;
  };
  const path = await cache.acquire(sha256, 300, never()).catch((error) => error.code);
  // Too many bytes is final: a coordinator that sends them has another idea of the binary than the lease.
  expect(path).toBe("TooLarge");
  expect(readdirSync(folder)).toEqual([]);
  expect(readFileSync(await cache.acquire(sha256, 300, never()))).toEqual(Buffer.alloc(300, "a"));
});

test("A35 what a crash left half done is swept at the start", async () => {
  const { sha256 } = binary("a");
  writeFileSync(join(folder, `${sha256}.1.part`), "half");
  writeFileSync(join(folder, "something else"), "x");
  const cache = await openCache();
  expect(readdirSync(folder)).toEqual([]);
  expect(cache.digests()).toEqual([]);
});

test("A36 two needs share one download, also when the first is called off", async () => {
  const cache = await openCache();
  const { sha256, bytes } = binary("a");
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  coordinator.serveBlob = (_request, response) => {
    void gate.then(() => response.writeHead(200).end(bytes));
    return true;
  };
  const first = new AbortController();
  const one = cache.acquire(sha256, 300, first.signal);
  const two = cache.acquire(sha256, 300, never());
  await coordinator.until("the request", () => coordinator.gets.length > 0);
  first.abort(new Error("called off"));
  await expect(one).rejects.toThrow("called off");
  go();
  expect(readFileSync(await two)).toEqual(bytes);
  expect(coordinator.gets).toHaveLength(1);
});

test("A36 a download that nobody waits for any more is ended, and can begin anew", async () => {
  const cache = await openCache();
  const { sha256, bytes } = binary("a");
  let broken = false;
  coordinator.serveBlob = (_request, response) => {
    response.on("close", () => {
      broken = !response.writableFinished;
    });
    return coordinator.gets.length === 1;
  };
  const only = new AbortController();
  const one = cache.acquire(sha256, 300, only.signal);
  await coordinator.until("the request", () => coordinator.gets.length > 0);
  only.abort(new Error("called off"));
  await expect(one).rejects.toThrow();
  await coordinator.until("the end of the request", () => broken);
  expect(readFileSync(await cache.acquire(sha256, 300, never()))).toEqual(bytes);
});

test("The cache holds its bound: what was used longest ago goes, what is in use stays", async () => {
  const cache = await openCache(1_000);
  const [a, b, c, d] = ["a", "b", "c", "d"].map((letter) => binary(letter).sha256) as [Sha256, Sha256, Sha256, Sha256];
  for (const sha256 of [a, b, c]) await cache.acquire(sha256, 300, never());
  cache.pin(a);
  await cache.acquire(d, 300, never());
  expect(readdirSync(folder).sort()).toEqual([a, c, d].sort());
  for (const sha256 of [c, d]) cache.pin(sha256);
  await expect(cache.acquire(b, 300, never())).rejects.toMatchObject({ code: "NoSpace" });
  cache.unpin(c);
  await cache.acquire(b, 300, never());
  expect(readdirSync(folder).sort()).toEqual([a, b, d].sort());
});

test("A binary that the coordinator does not have is NotFound, without trying again", async () => {
  const cache = await openCache();
  const missing = "0".repeat(64) as Sha256;
  await expect(cache.acquire(missing, 300, never())).rejects.toMatchObject({ code: "NotFound" });
  expect(coordinator.gets).toEqual([missing]);
});
