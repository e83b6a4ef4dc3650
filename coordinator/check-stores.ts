import type { Clock, Random } from "#shared/ports.ts";
import { checkRedis, type RedisFinding } from "./engine/redis/check-redis.ts";
import { parseRedisUrl } from "./engine/redis/redis-address.ts";
import { RedisLink } from "./engine/redis/redis-link.ts";

/** What `salt doctor` says of a Redis: whether it answers, and is fit to hold what must not be lost. */
export async function checkRedisStore(
  url: string,
  deps: { readonly clock: Clock; readonly random: Random },
): Promise<RedisFinding[]> {
  const link = new RedisLink(parseRedisUrl(url), deps);
  try {
    await link.connect();
    return await checkRedis(link);
  } finally {
    await link.close();
  }
}
