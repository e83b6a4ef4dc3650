import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { SaltError } from "#shared/domain/errors.ts";
import type { Principal } from "../access/authenticate.ts";
import { problemHeaders, toProblem } from "./problem.ts";

export interface UpgradeDeps {
  readonly authenticate: (authorization: string | undefined) => Promise<Principal>;
  readonly onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer, principal: Principal) => void;
  /** Why the request is refused whatever it asks for, or null. */
  readonly refusal: SaltError | null;
}

/** The one path of WebSockets, spelled in one way. */
export const agentPath = "/v1/agent";

/** Hands an agent's socket on, or answers on it with a problem and closes it. */
export async function upgradeAgent(
  deps: UpgradeDeps,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  // A peer that goes away meanwhile must not end the process.
  const ignore = () => socket.destroy();
  socket.on("error", ignore);
  try {
    const principal = await admit(deps, request);
    socket.off("error", ignore);
    if (!socket.destroyed) deps.onUpgrade(request, socket, head, principal);
  } catch (error) {
    const problem = toProblem(error, "none");
    const body = JSON.stringify(problem);
    const headers = { ...problemHeaders(problem), connection: "close", "content-length": Buffer.byteLength(body) };
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
    socket.end(`HTTP/1.1 ${problem.status} ${problem.title}\r\n${lines.join("\r\n")}\r\n\r\n${body}`);
  }
}

async function admit(deps: UpgradeDeps, request: IncomingMessage): Promise<Principal> {
  if (deps.refusal) throw deps.refusal;
  if (request.url !== agentPath || request.method !== "GET") {
    throw new SaltError("NotFound", "There is no WebSocket here.", { next: `Agents connect to ${agentPath}.` });
  }
  // A58: agents send no Origin; what does is a web page, and no page is an agent.
  if (request.headers.origin !== undefined) {
    throw new SaltError("NotAllowed", "Cannot open an agent's connection for a web page.");
  }
  const principal = await deps.authenticate(request.headers.authorization);
  if (principal.role === "agent" || principal.role === "admin") return principal;
  throw new SaltError("NotAllowed", `Cannot serve as an agent with a token of the role '${principal.role}'.`, {
    next: "Make one with 'salt tokens create --role agent'.",
  });
}
