import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import pino from "pino";
import { expect, test } from "vitest";
import { startCoordinator } from "./main.ts";

test("a coordinator that finds its port taken leaves its data folder to the next one, on another port", async () => {
  const dataFolder = await mkdtemp(path.join(tmpdir(), "salt-coordinator-test-"));
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  const options = { host: "127.0.0.1", dataFolder, logger: pino({ enabled: false }) };
  try {
    await expect(startCoordinator({ ...options, port })).rejects.toMatchObject({ cause: { code: "EADDRINUSE" } });
    const started = await startCoordinator({ ...options, port: 0 });
    expect((await fetch(`${started.url}/v1/health`)).status).toBe(200);
    await started.close();
  } finally {
    other.close();
    await rm(dataFolder, { recursive: true, force: true });
  }
});
