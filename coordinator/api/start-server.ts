import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import { SaltError } from "#shared/domain/errors.ts";
import type { Clock } from "#shared/ports.ts";
import type { Principal } from "../access/authenticate.ts";
import type { ApiApp } from "./handlers.ts";
import { isForeignHost, isLoopback, requireSafeBind } from "./host-check.ts";
import { problemHeaders, toProblem } from "./problem.ts";
import { upgradeAgent } from "./upgrade-agent.ts";

export interface ServerOptions {
  readonly app: ApiApp;
  readonly clock: Clock;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Lets it listen on other addresses than loopback. Default false: `UnsafeBind`. */
  readonly allowRemote?: boolean;
  readonly authenticate: (authorization: string | undefined) => Promise<Principal>;
  /** Is given the socket of an agent that has proved its role; it owns the socket from then on. */
  readonly onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer, principal: Principal) => void;
  /** Time for a request's headers to come. Default 15 s. */
  readonly headersTimeoutMs?: number;
  /** Time for the whole of a request to come, uploads of binaries included. Default 2 h. */
  readonly requestTimeoutMs?: number;
  /** Time without a byte either way after which a connection is closed. Default 2 min; streams send heartbeats. */
  readonly idleTimeoutMs?: number;
  /** Connections of one address that have not sent a request yet; more are closed. Default 256. */
  readonly unprovenPerAddressMax?: number;
}

export interface RunningServer {
  readonly url: string;
  readonly port: number;
  /** Takes no more requests, lets those under way, and the agents' sockets, end within a second, and closes. */
  close(): Promise<void>;
}

const headersMax = 200;
const headerBytesMax = 16 * 1024;
const closeGraceMs = 1_000;

/** Serves the API over HTTP/1.1. `UnsafeBind`; `Unavailable` when the port is taken. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  requireSafeBind(options.host, options.allowRemote ?? false);
  const listener = getRequestListener(options.app.fetch, { overrideGlobalObjects: false });
  const server = createServer(
    { maxHeaderSize: headerBytesMax, connectionsCheckingInterval: 1_000 },
    (request, response) => {
      const refusal = refusalOf(options, request);
      if (refusal) refuse(request, response, refusal);
      else void listener(request, response);
    },
  );
  server.headersTimeout = options.headersTimeoutMs ?? 15_000;
  server.requestTimeout = options.requestTimeoutMs ?? 2 * 3600_000;
  server.timeout = options.idleTimeoutMs ?? 120_000;
  server.keepAliveTimeout = 65_000;
  // One more than is allowed: Node drops what is beyond this without a word, and too many are to be refused.
  server.maxHeadersCount = headersMax + 1;
  limitUnproven(server, options.unprovenPerAddressMax ?? 256);
  const upgraded = new Set<Duplex>();
  server.on("upgrade", (request, socket, head) => {
    upgraded.add(socket);
    socket.once("close", () => upgraded.delete(socket));
    void upgradeAgent({ ...options, refusal: refusalOf(options, request) }, request, socket, head);
  });
  await listen(server, options);
  const { port } = server.address() as AddressInfo;
  const name = options.host.includes(":") ? `[${options.host}]` : options.host;
  return { url: `http://${name}:${port}`, port, close: () => close(server, upgraded, options.clock) };
}

function refusalOf(options: ServerOptions, request: IncomingMessage): SaltError | null {
  if (request.rawHeaders.length > 2 * headersMax) {
    return new SaltError("BadRequest", `Cannot read the request: it has more than ${headersMax} headers.`);
  }
  const hosts = request.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === "host");
  if (hosts.length > 1) return new SaltError("BadRequest", "Cannot read the request: it has more than one Host.");
  if (isLoopback(options.host) && isForeignHost(request.headers.host)) {
    return new SaltError("NotAllowed", "Cannot answer: the request's Host is not this machine's loopback address.", {
      next: "Use http://127.0.0.1 or http://localhost with the coordinator's port.",
    });
  }
  return null;
}

function refuse(request: IncomingMessage, response: ServerResponse, error: SaltError): void {
  const problem = toProblem(error, "none");
  response.writeHead(problem.status, { ...problemHeaders(problem), connection: "close" });
  response.end(JSON.stringify(problem));
  request.resume();
}

/** A56: connections that say nothing cost those who open them a place among few; others are not touched. */
function limitUnproven(server: Server, perAddressMax: number): void {
  const unproven = new Map<string, number>();
  const waiting = new WeakSet<Socket>();
  const prove = (socket: Socket, address: string) => {
    if (!waiting.delete(socket)) return;
    const left = (unproven.get(address) ?? 1) - 1;
    if (left > 0) unproven.set(address, left);
    else unproven.delete(address);
  };
  server.on("connection", (socket: Socket) => {
    const address = socket.remoteAddress ?? "";
    const count = (unproven.get(address) ?? 0) + 1;
    if (count > perAddressMax) {
      socket.destroy();
      return;
    }
    unproven.set(address, count);
    waiting.add(socket);
    socket.once("close", () => prove(socket, address));
  });
  const onRequest = (request: IncomingMessage) => prove(request.socket, request.socket.remoteAddress ?? "");
  server.on("request", onRequest);
  server.on("upgrade", onRequest);
}

function listen(server: Server, { host, port }: ServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      reject(
        new SaltError("Unavailable", `Cannot listen on ${host}:${port}: ${cause.message}.`, {
          cause,
          next: "Stop what listens there, or choose another port with --port.",
        }),
      );
    });
    server.listen(port, host, resolve);
  });
}

function close(server: Server, upgraded: ReadonlySet<Duplex>, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.after(closeGraceMs, () => {
      server.closeAllConnections();
      // The server knows nothing of these any more, and yet ends after the last of them: an agent that is frozen, or
      // half gone, would keep it waiting.
      for (const socket of upgraded) socket.destroy();
    });
    server.close(() => {
      timer.cancel();
      resolve();
    });
    server.closeIdleConnections();
  });
}
