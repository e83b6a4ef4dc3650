import type { Redis } from "ioredis";
import { SaltError } from "#shared/domain/errors.ts";
import { describeAddress, type RedisAddress } from "./redis-address.ts";
import type { RedisLink } from "./redis-link.ts";

/** What is the case, and what to do when that is not as it should be. */
export interface RedisFinding {
  readonly state: "fine" | "warns" | "fails";
  readonly finding: string;
  readonly next?: string;
}

/**
 * Whether a Redis is fit to hold what must not be lost. Each master is asked by INFO, which managed ones allow too, and by
 * CONFIG GET where INFO does not say it.
 */
export async function checkRedis(link: RedisLink): Promise<RedisFinding[]> {
  const masters = link.masters();
  const each = masters.map(async (redis) => {
    const place = masters.length > 1 ? `${redis.options.host}:${redis.options.port} ` : "";
    const findings = await checkServer(redis, link.address).catch((error: unknown) => {
      throw link.explain(error, "see how Redis is set up");
    });
    return findings.map((found) => ({ ...found, finding: `${place}${found.finding}` }));
  });
  return (await Promise.all(each)).flat();
}

/** `Unavailable` with the first failure; warnings go to `warn`. */
export async function requireFitRedis(link: RedisLink, warn: (text: string) => void): Promise<void> {
  for (const { state, finding, next } of await checkRedis(link)) {
    if (state === "fails") {
      throw new SaltError("Unavailable", `Cannot keep anything in ${describeAddress(link.address)}: ${finding}.`, {
        retryable: false,
        ...(next !== undefined && { next }),
      });
    }
    if (state === "warns")
      warn(`${describeAddress(link.address)}: ${finding}${next === undefined ? "" : ` → ${next}`}`);
  }
}

async function checkServer(redis: Redis, address: RedisAddress): Promise<RedisFinding[]> {
  const text = await redis.info();
  const info = new Map(text.split("\r\n").map((line) => line.split(":", 2) as [string, string]));
  return [
    checkVersion(info),
    checkRole(info),
    checkMode(info, address),
    checkEviction(info.get("maxmemory_policy") ?? (await readConfig(redis, "maxmemory-policy"))),
    checkDurability(info, await readConfig(redis, "appendfsync")),
  ].filter((finding) => finding !== null);
}

type Info = ReadonlyMap<string, string>;

/** Null where CONFIG is not allowed, as on many managed servers. */
async function readConfig(redis: Redis, name: string): Promise<string | null> {
  const found = await redis.config("GET", name).catch(() => []);
  return (found as readonly string[])[1] ?? null;
}

/** Valkey says which Redis it is compatible with: 7.2.4. */
function checkVersion(info: Info): RedisFinding {
  const valkey = info.get("valkey_version");
  const version = info.get("redis_version") ?? "";
  const finding = valkey === undefined ? `version ${version}` : `Valkey ${valkey}`;
  if (Number.parseInt(version, 10) >= 7) return { state: "fine", finding };
  return { state: "fails", finding: `${finding} is too old`, next: "Use Redis 7 or newer, or Valkey 7.2 or newer." };
}

function checkRole(info: Info): RedisFinding | null {
  if (info.get("role") !== "slave") return null;
  return { state: "fails", finding: "it is a replica", next: "Name the master." };
}

/** Asked as a single server, it refuses whatever is in slots of the others. */
function checkMode(info: Info, { cluster }: RedisAddress): RedisFinding | null {
  if (cluster || info.get("redis_mode") !== "cluster") return null;
  return {
    state: "fails",
    finding: "it is a node of a Redis Cluster",
    next: "Write redis-cluster:// in place of redis://.",
  };
}

function checkEviction(policy: string | null): RedisFinding {
  if (policy === "noeviction") return { state: "fine", finding: "nothing is evicted" };
  if (policy === null) {
    return {
      state: "warns",
      finding: "whether it evicts keys when memory is short cannot be read",
      next: "See to it that maxmemory-policy is noeviction: an evicted key is a lost task.",
    };
  }
  return {
    state: "fails",
    finding: `its maxmemory-policy is ${policy}: when memory is short it throws away tasks and journals`,
    next: "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf.",
  };
}

function checkDurability(info: Info, fsync: string | null): RedisFinding {
  const replicas = Number(info.get("connected_slaves") ?? 0);
  if (info.get("aof_enabled") === "1") {
    if (fsync === "no") {
      return {
        state: "warns",
        finding: "its AOF is written when the system likes: a crash of the machine loses what was acknowledged since",
        next: "CONFIG SET appendfsync everysec, or always, and the same in redis.conf.",
      };
    }
    const loses = { always: "nothing", everysec: "at most about a second" }[fsync ?? ""] ?? "what appendfsync allows";
    return { state: "fine", finding: `AOF is on: a crash loses ${loses}` };
  }
  if (replicas > 0) {
    return { state: "fine", finding: `AOF is off, ${replicas} replicas: a failover loses what they did not have yet` };
  }
  return {
    state: "warns",
    finding: "neither AOF nor a replica is on: when it ends, all since its last snapshot is lost, acknowledged or not",
    next: "CONFIG SET appendonly yes, and the same in redis.conf; or give it a replica.",
  };
}
