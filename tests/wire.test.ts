import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type Coordinator, startCoordinator } from "#coordinator/main.ts";
import { limits } from "#shared/domain/limits.ts";
import { agentSubprotocol } from "#shared/protocol/agent.ts";

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
let folder: string;
let coordinator: Coordinator;
let token: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "salt-wire-"));
  coordinator = await startCoordinator({ port: 0, dataFolder: path.join(folder, "data"), logger: silent });
  token = (await coordinator.createToken({ name: "agent", role: "agent", by: "test" })).token;
});
afterAll(async () => {
  await coordinator?.close();
  await rm(folder, { recursive: true, force: true });
});

async function dial(): Promise<{ socket: WebSocket; closed: Promise<number> }> {
  const url = `${coordinator.url.replace("http", "ws")}/v1/agent`;
  const socket = new WebSocket(url, agentSubprotocol, { headers: { authorization: `Bearer ${token}` } });
  const closed = new Promise<number>((resolve) => socket.once("close", resolve));
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  socket.on("error", () => undefined);
  return { socket, closed };
}

const answers = async () => (await fetch(`${coordinator.url}/v1/health`)).status;

test("A55 a message above the limit closes the connection with 1009, and nothing else", async () => {
  const bystander = await dial();
  const { socket, closed } = await dial();
  socket.send(`["${"x".repeat(limits.frameBytesMax)}"]`);
  expect(await closed).toBe(1009);
  expect(bystander.socket.readyState).toBe(WebSocket.OPEN);
  bystander.socket.terminate();
  expect(await answers()).toBe(200);
});

test("A55 a message that goes on for ever in fragments is closed with 1009 where it reaches the limit", async () => {
  const { socket, closed } = await dial();
  const fragment = Buffer.alloc(64 * 1024, "x");
  let sent = 0;
  while (socket.readyState === WebSocket.OPEN && sent < 4 * limits.frameBytesMax) {
    await new Promise<void>((resolve) => socket.send(fragment, { fin: false }, () => resolve()));
    sent += fragment.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await closed).toBe(1009);
  expect(await answers()).toBe(200);
});

test("A55 compression is never agreed on, so that no message can swell; one that claims it is refused", async () => {
  const { socket } = await dial();
  expect(socket.extensions).toBe("");
  socket.terminate();
  expect(await closeCodeOf(compressedFrame())).toBe(1002);
  expect(await answers()).toBe(200);
});

/** A text frame of ten bytes, masked with zeros, with the bit set that says it is compressed. */
const compressedFrame = (): Buffer =>
  Buffer.concat([Buffer.from([0xc1, 0x80 | 10, 0, 0, 0, 0]), Buffer.alloc(10, 120)]);

/** Dials by hand, offering compression, sends raw bytes and answers the code that the connection is closed with. */
function closeCodeOf(bytes: Buffer): Promise<number> {
  const { hostname, port } = new URL(coordinator.url);
  const head = [
    "GET /v1/agent HTTP/1.1",
    `Host: ${hostname}:${port}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
    `Sec-WebSocket-Protocol: ${agentSubprotocol}`,
    "Sec-WebSocket-Extensions: permessage-deflate",
    `Authorization: Bearer ${token}`,
  ];
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(`${head.join("\r\n")}\r\n\r\n`));
    socket.setTimeout(5_000, () => reject(new Error("nothing came")));
    let received = Buffer.alloc(0);
    let upgraded = false;
    socket.on("error", reject);
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf("\r\n\r\n");
      if (!upgraded && end >= 0) {
        upgraded = true;
        received = received.subarray(end + 4);
        socket.write(bytes);
      }
      const isClose = upgraded && received.length >= 4 && received[0] === 0x88;
      if (!isClose) return;
      resolve(received.readUInt16BE(2));
      socket.destroy();
    });
  });
}
