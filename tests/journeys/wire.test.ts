import { connect, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { limits } from "#shared/domain/limits.ts";
import { memoryOf, startJourneys, until } from "../support/journeys.ts";
import { frame, frameBits, frameHead, openRawAgentSocket, type RawAgentSocket } from "../support/raw-agent-socket.ts";
import type { Salt } from "../support/start-salt.ts";

const { text, continuation, binary, final, compressed } = frameBits;

let salt: Salt;
/** Connections that never get further, open from the first test to the last. */
let slow: Socket[];

beforeAll(async () => {
  salt = await startJourneys();
  slow = Array.from({ length: 2_000 }, (_, index) => dribble(index));
}, 120_000);
afterAll(async () => {
  for (const socket of slow ?? []) socket.destroy();
  await salt?.close();
});

/** A request, or the upgrade of an agent, whose headers do not come to an end. It comes from an address of its own. */
function dribble(index: number): Socket {
  const { port } = new URL(salt.url);
  const path = index % 2 === 0 ? "/v1/health" : "/v1/agent";
  const socket = connect({ port: Number(port), host: "127.0.0.1", localAddress: "127.0.0.2" });
  socket.on("error", () => undefined).resume();
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nX-Slow: `);
  return socket;
}

/** The agent's connection has not suffered, and what it is given is done. */
afterEach(async () => {
  const { id } = await salt.open("journeys/ordinary", { n: 1 });
  expect(await salt.settled(id)).toMatchObject({ status: "succeeded" });
  expect(salt.agents[0]?.stderr()).not.toMatch(/dialling again/);
  expect(salt.coordinator().stderr()).not.toMatch(/"level":(50|60)/);
});

const open = (headers = {}): Promise<RawAgentSocket> => openRawAgentSocket(salt.url, salt.token, headers);

const hello = {
  ...{
    t: "hello",
    agent: `agt_${"0".repeat(26)}`,
    name: "raw",
    pool: "elsewhere",
    platform: "linux-x64",
    version: "0",
  },
  ...{ labels: {}, capacity: { tasks: 0, workflows: 0 }, cached: [], leases: [] },
};

describe("the agent's socket", () => {
  test("A54 is closed with 1007 by what is not frames, whether hello was said or not", async () => {
    const bad: [string, Buffer][] = [
      ["not JSON", frame(final | text, "[{")],
      ["no array", frame(final | text, '{"t":"hello"}')],
      ["an unknown frame", frame(final | text, '[{"t":"unheard"}]')],
      ["a frame with a wrong field", frame(final | text, '[{"t":"credit","tasks":-1,"workflows":1e400}]')],
      ["nesting without end", frame(final | text, "[".repeat(500_000))],
      ["bytes that are not UTF-8", frame(final | text, Buffer.from([0x5b, 0xff, 0xfe, 0x5d]))],
      ["a binary message", frame(final | binary, "[]")],
    ];
    for (const [what, bytes] of bad) {
      for (const greeted of [false, true]) {
        const socket = await open();
        if (greeted) await socket.send(frame(final | text, JSON.stringify([hello])));
        await socket.send(bytes);
        expect(await socket.closed, what).toBe(1007);
      }
    }
  });

  test("A55 is closed with 1009 by a frame that is too large, before its bytes have come", async () => {
    const before = memoryOf(salt.coordinator().child.pid ?? 0);
    for (const bytes of [limits.frameBytesMax + 1, 2 ** 31, 2 ** 40]) {
      const socket = await open();
      await socket.send(frameHead(final | text, bytes));
      expect(await socket.closed, `${bytes} bytes`).toBe(1009);
    }
    expect(memoryOf(salt.coordinator().child.pid ?? 0) - before).toBeLessThan(64 * 1024 ** 2);
  });

  test.each([
    ["large", 32 * 1024, 1009],
    ["tiny", 1, 1008],
    ["empty", 0, 1008],
  ])("A55 does not gather a message of %s fragments without end", async (_, bytes, code) => {
    const before = memoryOf(salt.coordinator().child.pid ?? 0);
    const socket = await open();
    await socket.send(frame(text, "["));
    const some = Buffer.concat(
      Array.from({ length: bytes > 1_000 ? 1 : 1_000 }, () => frame(continuation, " ".repeat(bytes))),
    );
    let sent = 0;
    while (sent < 3_000 && (await socket.send(some))) sent += 1;
    expect(sent).toBeLessThan(3_000);
    expect(await socket.closed).toBe(code);
    expect(memoryOf(salt.coordinator().child.pid ?? 0) - before).toBeLessThan(100 * 1024 ** 2);
  });

  test("A55 takes no offer of compression, and no compressed frame", async () => {
    const socket = await open({ "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" });
    expect(socket.answer).toMatch(/^HTTP\/1\.1 101 /);
    expect(socket.answer).not.toMatch(/permessage-deflate/i);
    await socket.send(frame(final | compressed | text, "x"));
    expect(await socket.closed).toBe(1002);
  });
});

describe("the API's port", () => {
  /** All that comes back until the server closes the connection, or 5 s have passed. */
  const raw = (request: string): Promise<string> =>
    new Promise((resolve) => {
      let answer = "";
      const socket = connect(Number(new URL(salt.url).port), "127.0.0.1", () => socket.write(request));
      socket.setTimeout(5_000, () => socket.destroy()).on("error", () => undefined);
      socket.on("data", (bytes) => {
        answer += bytes.toString("latin1");
      });
      socket.on("close", () => resolve(answer));
    });

  test("A57 answers hostile requests with a 4xx, at once", async () => {
    const head = "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n";
    const requests = [
      `${head}${"a: b\r\n".repeat(3_000)}\r\n`,
      "GET /v1/health HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
      `POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      `${head}\r\n\x00pipelined garbage\r\n\r\n`,
    ];
    for (const request of requests) {
      const before = performance.now();
      expect(await raw(request)).toMatch(/^HTTP\/1\.1 4\d\d |\r\n\r\n.*HTTP\/1\.1 400 /s);
      expect(performance.now() - before).toBeLessThan(4_000);
    }
  });

  test("A56 keeps few of two thousand connections that dribble, and nobody else is kept from being served", async () => {
    await until("most are closed", () => slow.filter((socket) => !socket.destroyed).length <= 256);
    expect((await fetch(`${salt.url}/v1/health`)).status).toBe(200);
  });
});
