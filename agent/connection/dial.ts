import { WebSocket } from "ws";
import { limits } from "#shared/domain/limits.ts";
import { agentSubprotocol } from "#shared/protocol/agent.ts";

/** One WebSocket, from dialling to its end. */
export interface Link {
  send(text: string): void;
  ping(): void;
  /** Ends the connection, with a closing handshake. */
  close(code: number, reason: string): void;
  /** Ends the connection at once, as a half-open one never answers. */
  terminate(): void;
}

export interface LinkEvents {
  opened(): void;
  message(text: string): void;
  /** Anything at all came in: the other side lives. */
  alive(): void;
  /** Called once. `status` is the HTTP status when the upgrade was refused. */
  ended(end: { code: number; reason: string; status?: number }): void;
}

export type Dial = (target: { url: string; token: string }, events: LinkEvents) => Link;

const handshakeMs = 10_000;

export const agentSocketUrl = (url: string): string => `${url.replace(/^http/, "ws").replace(/\/+$/, "")}/v1/agent`;

/** Dials the coordinator's agent socket. */
export const dialCoordinator: Dial = ({ url, token }, events) => {
  const socket = new WebSocket(agentSocketUrl(url), [agentSubprotocol], {
    headers: { authorization: `Bearer ${token}` },
    perMessageDeflate: false,
    maxPayload: limits.frameBytesMax,
    handshakeTimeout: handshakeMs,
    followRedirects: false,
  });
  let status: number | undefined;
  let fault = "";
  socket.on("open", () => events.opened());
  socket.on("message", (bytes, isBinary) => {
    events.alive();
    events.message(isBinary ? "" : bytes.toString());
  });
  socket.on("pong", () => events.alive());
  socket.on("ping", () => events.alive());
  socket.on("unexpected-response", (request, response) => {
    status = response.statusCode;
    response.resume();
    request.destroy(new Error(`the coordinator answered ${status}`));
  });
  socket.on("error", (error) => {
    fault = error.message;
  });
  socket.on("close", (code, reason) =>
    events.ended({ code, reason: reason.toString() || fault, ...(status === undefined ? {} : { status }) }),
  );
  return {
    send: (text) => socket.send(text),
    ping: () => socket.ping(),
    close: (code, reason) => socket.close(code, reason),
    terminate: () => socket.terminate(),
  };
};
