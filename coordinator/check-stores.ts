import { SaltError } from "#shared/domain/errors.ts";
import type { Clock, Random } from "#shared/ports.ts";
import type { S3Options } from "./blobs/s3/s3-options.ts";
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

/** The same of a bucket: whether it can be written, read and deleted from, and what its server does not know. */
export async function checkS3Store(
  options: S3Options,
  deps: { readonly clock: Clock; readonly random: Random },
): Promise<RedisFinding[]> {
  const { createS3Blobs } = await import("./blobs/s3/s3-blobs.ts");
  try {
    const blobs = await createS3Blobs(options, deps);
    await blobs.close();
    const { warnings } = blobs.findings;
    if (warnings.length === 0) return [{ state: "fine", finding: `${options.url} can be written and read` }];
    return warnings.map((warning) => ({ state: "warns", ...warning }));
  } catch (error) {
    if (!(error instanceof SaltError)) throw error;
    const { message: finding, next } = error;
    return [{ state: "fails", finding, ...(next !== undefined && { next }) }];
  }
}
