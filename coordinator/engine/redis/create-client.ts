import { Cluster, Redis } from "ioredis";
import { limits } from "#shared/domain/limits.ts";
import type { Random } from "#shared/ports.ts";
import type { RedisAddress } from "./redis-address.ts";

const backoffBaseMs = 50;
const backoffMaxMs = 2_000;

/**
 * A connection, or in a cluster those to its nodes, made again with full jitter for as long as it is not closed.
 *
 * `commands`: retrying is Salt's, so a command is sent at once or fails, and is never sent again by the client.
 * `hints`: nothing that is said on it has an outcome; a subscription waits for its connection, however long it takes.
 */
export function createClient(
  address: RedisAddress,
  { random, use }: { readonly random: Random; readonly use: "commands" | "hints" },
): Redis | Cluster {
  const retryStrategy = (times: number) =>
    random.float() * Math.min(backoffMaxMs, backoffBaseMs * 2 ** Math.min(times, 10));
  const options = {
    ...(address.username !== undefined && { username: address.username }),
    ...(address.password !== undefined && { password: address.password }),
    ...(address.tls && { tls: {} }),
    protocol: 2,
    connectionName: "salt",
    disableClientInfo: true,
    autoResendUnfulfilledCommands: false,
    connectTimeout: limits.engineTimeoutMs,
    maxLoadingRetryTime: 200,
    reconnectOnError: ({ message }: Error) => message.startsWith("READONLY"),
    ...(use === "commands"
      ? { maxRetriesPerRequest: 0, commandTimeout: limits.engineTimeoutMs, socketTimeout: 2 * limits.engineTimeoutMs }
      : { maxRetriesPerRequest: null }),
  } as const;
  const enableOfflineQueue = use === "hints";
  if (!address.cluster) {
    return new Redis({ ...options, ...address.nodes[0], db: address.db, retryStrategy, enableOfflineQueue });
  }
  return new Cluster([...address.nodes], {
    redisOptions: options,
    enableOfflineQueue,
    shardedSubscribers: use === "hints",
    clusterRetryStrategy: retryStrategy,
    slotsRefreshTimeout: limits.engineTimeoutMs,
    slotsRefreshInterval: 5_000,
  });
}
