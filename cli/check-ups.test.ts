import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { haveRedis, type RedisServer, startRedis } from "../tests/support/redis-server.ts";
import { runCheckUps } from "./check-ups.ts";

describe.runIf(haveRedis())("what salt doctor says of the Redis that SALT_REDIS_URL names", () => {
  let server: RedisServer;
  let folder: string;
  beforeAll(async () => {
    server = await startRedis({ appendfsync: "everysec" });
    folder = await mkdtemp(path.join(tmpdir(), "salt-doctor-"));
  });
  afterAll(async () => {
    await server?.close();
    await rm(folder, { recursive: true });
  });

  const saidOf = async (url: string | undefined) => {
    const env = { HOME: folder, ...(url !== undefined && { SALT_REDIS_URL: url }) };
    const settings = { url: { value: "http://127.0.0.1:1", origin: "test" }, token: null };
    const results = await runCheckUps({ env, cwd: folder, nowMs: () => performance.now() }, settings);
    return results.filter(({ name }) => name === "redis");
  };

  test("where none is named, nothing", async () => {
    expect(await saidOf(undefined)).toEqual([]);
  });

  test("its version, that it evicts nothing, and what a crash of it loses", async () => {
    const said = await saidOf(server.url);
    expect(said.map(({ state }) => state)).toEqual(["fine", "fine", "fine"]);
    expect(said.map(({ finding }) => finding).join("\n")).toContain("AOF is on");
  });

  test("that it would throw tasks away, and how to stop that", async () => {
    await server.command("CONFIG", "SET", "maxmemory-policy", "volatile-lru");
    expect(await saidOf(server.url)).toContainEqual({
      name: "redis",
      state: "fails",
      finding: expect.stringContaining("volatile-lru"),
      next: expect.stringContaining("CONFIG SET maxmemory-policy noeviction"),
    });
  });

  test("that it does not take the password, without saying it", async () => {
    const said = await saidOf(server.url.replace("//", "//salt:hush@"));
    expect(said).toEqual([
      { name: "redis", state: "fails", finding: expect.stringContaining("password"), next: expect.anything() },
    ]);
    expect(JSON.stringify(said)).not.toContain("hush");
  });
});
