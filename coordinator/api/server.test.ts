import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import type { CallKey, RunId } from "#shared/domain/ids.ts";
import { partitionOf, sha256, taskId } from "#shared/domain/ids.ts";
import { leaseKey } from "../engine/engine.ts";
import { journalLog, runKey } from "../records.ts";
import { call, createStand, register, type Stand, serveStand } from "./api-stand.ts";
import { isForeignHost, requireSafeBind } from "./host-check.ts";
import type { RunningServer } from "./start-server.ts";

let stand: Stand;
let server: RunningServer;
const others: RunningServer[] = [];
beforeAll(async () => {
  stand = await createStand();
  await register(stand);
  server = await serveStand(stand);
});
afterEach(async () => {
  await Promise.all(others.splice(0).map((other) => other.close()));
});
afterAll(async () => {
  await server.close();
  stand.mover.close();
});

const serve = async (options: Parameters<typeof serveStand>[1]): Promise<RunningServer> => {
  const other = await serveStand(stand, options);
  others.push(other);
  return other;
};

/** All that comes back over a socket until the server closes it, or `forMs` passed. */
function raw(port: number, text: string, forMs = 3_000): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    socket.setTimeout(forMs, () => socket.destroy());
    socket.on("data", (bytes) => {
      answer += bytes.toString("latin1");
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(answer));
  });
}

const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);
const get = (path: string, headers = "") =>
  `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}Connection: close\r\n\r\n`;

describe("startServer", () => {
  it("A73 refuses to be reachable by others unless that is allowed", async () => {
    for (const host of ["0.0.0.0", "::", "192.168.1.5", "example.com"]) {
      await expect(serveStand(stand, { host }), host).rejects.toMatchObject({
        code: "UnsafeBind",
        next: expect.stringMatching(/--allow-remote/),
      });
    }
    expect(() => requireSafeBind("0.0.0.0", true)).not.toThrow();
    for (const host of ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
      expect(() => requireSafeBind(host, false)).not.toThrow();
  });

  it("says so when the port is taken", async () => {
    await expect(serveStand(stand, { port: server.port })).rejects.toMatchObject({ code: "Unavailable" });
  });

  it("answers only to loopback's own names when bound to loopback (DNS rebinding)", async () => {
    for (const host of [
      "evil.example",
      `evil.example:${server.port}`,
      "localhost.evil.example",
      "127.0.0.1.evil.example",
      "user@localhost",
      "[::2]",
    ]) {
      const answer = await raw(server.port, `GET /v1/health HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      expect(statusOf(answer), host).toBe(403);
    }
    for (const host of ["localhost", "LOCALHOST:1", "127.0.0.1:7420", "[::1]:7420"])
      expect(isForeignHost(host), host).toBe(false);
    expect(isForeignHost(undefined)).toBe(true);
  });

  it("A57 answers too many headers, a bad or missing Host, and CL with TE with a 4xx and does not hang", async () => {
    const many = Array.from({ length: 3_000 }, (_, index) => `a${index % 10}:b\r\n`).join("");
    const bad: [string, string][] = [
      ["3,000 headers", get("/v1/health", many)],
      ["300 headers", get("/v1/health", "x:y\r\n".repeat(300))],
      ["one huge header", get("/v1/health", `x: ${"y".repeat(20_000)}\r\n`)],
      ["no Host", "GET /v1/health HTTP/1.1\r\nConnection: close\r\n\r\n"],
      ["two Hosts", get("/v1/health", "Host: evil.example\r\n")],
      [
        "CL and TE",
        "POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      ],
      [
        "two lengths",
        "POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
      ],
      ["garbage", "\x00\x01\x02 nonsense\r\n\r\n"],
      [
        "an absolute target elsewhere",
        "GET http://evil.example/v1/health HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
      ],
      ["a bad target", get("/v1/%zz%00%ff")],
    ];
    for (const [what, text] of bad) {
      const status = statusOf(await raw(server.port, text));
      expect(status, what).toBeGreaterThanOrEqual(400);
      expect(status, what).toBeLessThan(500);
    }
    const pipelined = await raw(server.port, "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n\x00garbage\r\n\r\n");
    expect(pipelined).toContain("HTTP/1.1 400 ");
    expect(statusOf(await raw(server.port, get("/v1/health")))).toBe(200);
  });

  it("A59 gives raw paths no more than their one spelling", async () => {
    const viewer = await stand.tokenOf("viewer");
    const auth = `Authorization: Bearer ${viewer}\r\n`;
    for (const path of [
      "//v1/tokens",
      "/v1/./tokens",
      "/v1/runs/../tokens",
      "/v1/runs/%2e%2e/tokens",
      "/v1%2ftokens",
      "/v1/runs/..%2ftokens",
      "\\v1\\tokens",
      "/v1/tokens%00",
      "/v1/tokens;x",
      "/v1/tokens?x=1",
    ]) {
      expect([400, 403, 404], path).toContain(statusOf(await raw(server.port, get(path, auth))));
    }
  });

  it("A56 ends connections that dribble headers or say nothing, while others are served", async () => {
    const slow = await serve({ headersTimeoutMs: 300, idleTimeoutMs: 1_000, unprovenPerAddressMax: 20 });
    const silent = Array.from({ length: 30 }, () => connect(slow.port, "127.0.0.1"));
    const closed = silent.map(
      (socket) =>
        new Promise((resolve) =>
          socket
            .resume()
            .on("error", () => undefined)
            .on("close", resolve),
        ),
    );
    await Promise.race(closed);
    expect(silent.filter(({ destroyed }) => !destroyed).length).toBeGreaterThan(0);
    await Promise.all(closed);
    const dribble = raw(slow.port, "GET /v1/health HTTP/1.1\r\nHost: local", 10_000);
    expect((await fetch(`${slow.url}/v1/health`)).status).toBe(200);
    expect([0, 408]).toContain(statusOf(await dribble));
  });

  it("A56 does not wait for a body that never comes to its end", async () => {
    const slow = await serve({ idleTimeoutMs: 500 });
    const text = `POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${stand.admin}\r\nContent-Length: 100\r\n\r\n{"proj`;
    const before = performance.now();
    await raw(slow.port, text, 10_000);
    expect(performance.now() - before).toBeLessThan(8_000);
  });

  it("serves the API with its tokens over real HTTP", async () => {
    const headers = { authorization: `Bearer ${stand.admin}`, "content-type": "application/json" };
    const body = JSON.stringify({ project: "shop", workflow: "main", input: { n: 1 } });
    const response = await fetch(`${server.url}/v1/runs`, { method: "POST", headers, body });
    expect(response.status).toBe(201);
    const bytes = Buffer.alloc(3 * 1024 * 1024, 7);
    const put = await fetch(`${server.url}/v1/blobs/${sha256(bytes)}`, { method: "PUT", headers, body: bytes });
    expect(put.status).toBe(200);
    const got = await fetch(`${server.url}/v1/blobs/${sha256(bytes)}`, { headers });
    expect(Buffer.from(await got.arrayBuffer()).equals(bytes)).toBe(true);
  });
});

describe("the agent's socket", () => {
  const dial = (url: string, headers: Record<string, string>): Promise<string> =>
    new Promise((resolve) => {
      const socket = new WebSocket(`${url.replace("http", "ws")}`, "salt.agent.v1", { headers });
      socket.on("open", () => {
        socket.close();
        resolve("open");
      });
      socket.on("unexpected-response", (_, response) => resolve(String(response.statusCode)));
      socket.on("error", () => undefined);
    });

  it("is opened for tokens of agents and administrators on its one path, and for no web page", async () => {
    const sockets = new WebSocketServer({ noServer: true });
    const seen: string[] = [];
    const other = await serve({
      onUpgrade: (request, socket, head, principal) => {
        seen.push(principal.role);
        sockets.handleUpgrade(request, socket, head, () => undefined);
      },
    });
    const bearer = async (role: Parameters<Stand["tokenOf"]>[0]) => ({
      authorization: `Bearer ${await stand.tokenOf(role)}`,
    });
    const agent = await bearer("agent");
    expect(await dial(`${other.url}/v1/agent`, agent)).toBe("open");
    expect(await dial(`${other.url}/v1/agent`, await bearer("admin"))).toBe("open");
    expect(await dial(`${other.url}/v1/agent`, await bearer("deployer"))).toBe("403");
    expect(await dial(`${other.url}/v1/agent`, {})).toBe("401");
    expect(await dial(`${other.url}/v1/agent`, { authorization: "Basic x" })).toBe("401");
    for (const path of ["/v1/agent/", "/v1/agent?x=1", "//v1/agent", "/v1/%61gent", "/"]) {
      expect(await dial(other.url + path, agent), path).toBe("404");
    }
    expect(await dial(`${other.url}/v1/agent`, { ...agent, host: "evil.example" })).toBe("403");
    expect(seen).toEqual(["agent", "admin"]);
  });

  it("does not keep the server from closing when the agent at its other end says nothing any more", async () => {
    const sockets = new WebSocketServer({ noServer: true });
    const other = await serveStand(stand, {
      onUpgrade: (request, socket, head) => sockets.handleUpgrade(request, socket, head, () => undefined),
    });
    const frozen = connect(other.port, "127.0.0.1").on("error", () => undefined);
    const headers = `Authorization: Bearer ${stand.admin}\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${"a".repeat(22)}==\r\n`;
    frozen.write(`GET /v1/agent HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n${headers}\r\n`);
    await once(frozen, "data");
    const before = performance.now();
    await other.close();
    expect(performance.now() - before).toBeLessThan(5_000);
    frozen.destroy();
  });

  it("A58 is refused to what sends an Origin", async () => {
    const headers = { authorization: `Bearer ${await stand.tokenOf("agent")}`, origin: "https://evil.example" };
    expect(await dial(`${server.url}/v1/agent`, headers)).toBe("403");
  });
});

interface Event {
  readonly id: string;
  readonly event: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into events of every shape
  readonly data: any;
}

/** Reads events until the stream ends, or `count` have come. */
async function readEvents(path: string, headers: Record<string, string> = {}, count = Infinity): Promise<Event[]> {
  const response = await fetch(server.url + path, {
    headers: { authorization: `Bearer ${stand.admin}`, ...headers },
  });
  expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
  const events: Event[] = [];
  let text = "";
  for await (const bytes of response.body ?? []) {
    text += Buffer.from(bytes).toString();
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? "";
      if (field("event")) events.push({ id: field("id"), event: field("event"), data: JSON.parse(field("data")) });
      // Leaving the loop cancels the body, as a reader who is cut off does.
      if (events.length >= count) return events;
    }
  }
  return events;
}

async function openRun(): Promise<RunId> {
  const { body } = await call(stand, "POST", "/v1/runs", {
    json: { project: "shop", workflow: "main", input: { n: 1 } },
  });
  return body.id;
}

const append = (run: RunId, entry: object) =>
  stand.engine.commit(partitionOf(run), [
    { checks: [], writes: [{ kind: "append", log: journalLog(run), value: JSON.stringify(entry) }] },
  ]);

async function endRun(run: RunId): Promise<void> {
  const { found } = await stand.engine.get([runKey(run)]);
  const value = JSON.stringify({ ...JSON.parse(found[0]?.value ?? ""), state: "succeeded", output: { json: "42" } });
  await stand.engine.commit(partitionOf(run), [
    {
      checks: [],
      writes: [
        { kind: "set", key: runKey(run), stamp: `end-${run}`, value },
        { kind: "append", log: journalLog(run), value: '{"e":"ended","state":"succeeded"}' },
      ],
    },
  ]);
}

describe("streams", () => {
  it("give the journal as it grows, and end after its last entry", async () => {
    const run = await openRun();
    const reading = readEvents(`/v1/runs/${run}/journal/stream`);
    await append(run, { e: "called", key: "score#1", kind: "task", name: "score", digest: "0".repeat(64) });
    await endRun(run);
    const events = await reading;
    expect(events.map(({ id, event, data }) => [id, event, data.e])).toEqual([
      ["1", "entry", "opened"],
      ["2", "entry", "called"],
      ["3", "entry", "ended"],
      ["", "end", undefined],
    ]);
    const rest = await readEvents(`/v1/runs/${run}/journal/stream`, { "last-event-id": "1" });
    expect(rest.map(({ id }) => id)).toEqual(["2", "3", ""]);
    expect((await readEvents(`/v1/runs/${run}/journal/stream?after=3`)).map(({ event }) => event)).toEqual(["end"]);
    expect((await call(stand, "GET", `/v1/runs/${run}/output`)).text).toBe("42");
  });

  it("A2 give logs without gap or repeat to a reader who is cut off and comes back", async () => {
    const run = await openRun();
    const key = "score#1" as CallKey;
    const task = taskId(run, key);
    const want = { holdMs: 5_000, wants: [{ holder: "agt", queues: ["q"], take: 1 }] };
    const enqueue = { kind: "enqueue", queue: "q", member: task, score: { at: 0 } } as const;
    await stand.engine.commit(partitionOf(run), [{ checks: [], writes: [enqueue] }], want);
    const { found } = await stand.engine.get([leaseKey(partitionOf(run), task)]);
    const fence = Number(found[0]?.stamp);
    const lines = Array.from({ length: 30 }, (_, index) => `line ${index}\n`);
    let offset = 0;
    const write = async (from: number, to: number) => {
      for (const text of lines.slice(from, to)) {
        await stand.logs.appendLogs([{ task, fence, stream: "stdout", offset, text, atMs: 1 }]);
        offset += text.length;
      }
    };
    await write(0, 5);
    const first = await readEvents(`/v1/runs/${run}/logs/stream`, {}, 5);
    await write(5, 12);
    const second = await readEvents(`/v1/runs/${run}/logs/stream`, { "last-event-id": first.at(-1)?.id ?? "" }, 7);
    const third = readEvents(`/v1/runs/${run}/logs/stream?task=${encodeURIComponent(key)}&after=12`);
    await write(12, 30);
    await endRun(run);
    const seen = [...first, ...second, ...(await third)].filter(({ event }) => event === "log");
    expect(seen.flatMap(({ data }) => data.map(({ text }: { text: string }) => text))).toEqual(lines);
    const page = await call(stand, "GET", `/v1/runs/${run}/logs?after=28`);
    expect(page.body.rows.map(({ text }: { text: string }) => text)).toEqual(lines.slice(28));
  });
});
