import { WebSocketServer } from "ws";
import { limits } from "#shared/domain/limits.ts";
import type { Clock, Random } from "#shared/ports.ts";
import { agentSubprotocol } from "#shared/protocol/agent.ts";
import type { CreatedToken, CreateTokenRequest } from "#shared/protocol/api.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { createAccess } from "./access/access.ts";
import { type FirstTokens, requireFirstTokens } from "./access/first-token.ts";
import { createApi } from "./api/create-api.ts";
import { requireSafeBind } from "./api/host-check.ts";
import { startServer } from "./api/start-server.ts";
import { joinStages } from "./journey.ts";
import { openStores, type StoreOptions } from "./open-stores.ts";
import type { Ages } from "./retention/ages.ts";

export interface CoordinatorOptions extends StoreOptions {
  /** Default `127.0.0.1`. */
  readonly host?: string;
  /** Default 7420; 0 takes any free one. */
  readonly port?: number;
  /** Lets it listen on other addresses than loopback. Default false: `UnsafeBind`. */
  readonly allowRemote?: boolean;
  readonly logger: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
  readonly version?: string;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Default: 30,000 ms. */
  readonly leaseTtlMs?: number;
  /** Default: 2,000 ms. */
  readonly parkAfterMs?: number;
  /** How long things are kept: milliseconds, or `Infinity`. Default: see docs/operations.md. */
  readonly ages?: Partial<Ages>;
  /** Made at the first start on these stores, and passed over at later ones. Default: one for administrators is chosen. */
  readonly firstTokens?: FirstTokens;
}

export interface Coordinator {
  readonly url: string;
  /** The first admin token, at the first start on these stores and never again; null also where it was given. */
  readonly adminToken: string | null;
  createToken(request: CreateTokenRequest & { readonly by: string }): Promise<CreatedToken>;
  /** Takes no more requests, closes the agents' connections and the engine. Leases go on: agents dial again. */
  close(): Promise<void>;
}

export async function startCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const { clock = systemClock, random = systemRandom, logger, version = "0.1.0", host = "127.0.0.1" } = options;
  // Before anything is made that the next start would find.
  requireSafeBind(host, options.allowRemote ?? false);
  requireFirstTokens(options.firstTokens ?? {});
  const stores = await openStores(options, { clock, random, logger });
  const { engine, blobs, partitions, shared } = stores;
  const journey = joinStages({
    engine,
    blobs,
    clock,
    random,
    partitions,
    shared,
    logger,
    ...(options.leaseTtlMs === undefined ? {} : { leaseTtlMs: options.leaseTtlMs }),
    ...(options.parkAfterMs === undefined ? {} : { parkAfterMs: options.parkAfterMs }),
    ...(options.ages === undefined ? {} : { ages: options.ages }),
  });
  stores.onFailover(() => journey.mover.forget());
  const access = createAccess({ engine, mover: journey.mover, clock, random, partitions });
  const app = createApi({
    engine,
    blobs: journey.blobs,
    clock,
    random,
    partitions,
    access,
    registry: journey.registry,
    triggers: journey.triggers,
    logs: journey.logs,
    progress: journey.progress,
    runs: journey.runs,
    version,
    onError: (error, requestId) => logger.error({ err: error, requestId }, "a request failed"),
  });
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: limits.frameBytesMax,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(agentSubprotocol) ? agentSubprotocol : false),
  });
  const closeParts = async () => {
    journey.close();
    sockets.close();
    await stores.close();
  };
  const listening = startServer({
    app,
    clock,
    host,
    port: options.port ?? 7420,
    ...(options.allowRemote === undefined ? {} : { allowRemote: options.allowRemote }),
    authenticate: access.authenticate,
    onUpgrade: (request, socket, head) =>
      sockets.handleUpgrade(request, socket, head, (webSocket) => journey.fleet.accept(webSocket)),
  });
  // Whoever starts again, on another port, finds the stores as they were.
  const server = await listening.catch(async (error) => {
    await closeParts();
    throw error;
  });
  const adminToken = await access.ensureFirstToken(options.firstTokens);
  journey.start();
  return {
    url: server.url,
    adminToken,
    createToken: (request) => access.createToken(request),
    async close() {
      await journey.drain();
      // What was asked before the end is answered.
      await server.close();
      await closeParts();
    },
  };
}
