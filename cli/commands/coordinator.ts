import path from "node:path";
import type { CoordinatorOptions } from "#coordinator/main.ts";
import { SaltError } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Cli } from "../cli.ts";
import type { CommandOptions, SaltCommand } from "../command.ts";
import { dataFolder } from "../data-folder.ts";
import { parseDuration } from "../duration.ts";
import { readAges } from "../keep-flags.ts";
import { parsePartitions, parsePort } from "../parse-flags.ts";
import { readS3 } from "../s3-flags.ts";
import { logLevels, type ServerVoice, withVoice } from "../server-log.ts";
import { untilStopped } from "../until-stopped.ts";

export function addCoordinator(root: SaltCommand, cli: Cli): void {
  root
    .command("coordinator")
    .summary("start a coordinator")
    .description(
      "Starts a coordinator, on embedded stores, or on a Redis and a bucket that many share. The first admin token is printed once, on stdout, at the first start.",
    )
    .option("--host <host>", "address to listen on", "127.0.0.1")
    .option("--port <port>", "port to listen on; 0 chooses a free one", "7420")
    .option("--data <folder>", "where its state is kept", dataFolder(cli.env, "coordinator"))
    .option("--redis <url>", "keep the state in this Redis or Redis Cluster, which any number of coordinators share")
    .option("--partitions <count>", "in how many partitions, decided at the first start (default: 16)")
    .withS3()
    .option(
      "--adopt-blob-store",
      "keep blobs here from now on, though the coordinators of this Redis had another store",
    )
    .option(
      "--allow-remote",
      "listen on an address that other machines can reach: tokens then travel in clear unless TLS is in front",
    )
    .option(
      "--lease-ttl <duration>",
      "how long an agent may be silent before its tasks are given to others, from 1s",
      durationFlag(limits.leaseTtlMs),
    )
    .option(
      "--park-after <duration>",
      "how long a workflow that only waits keeps its process",
      durationFlag(limits.parkAfterMs),
    )
    .withKeep()
    .option("--log-level <level>", logLevels.join(", "), "info")
    .examples(
      ["salt coordinator", "on this machine only"],
      ["salt coordinator --data /var/lib/salt --host 0.0.0.0 --allow-remote", "behind a proxy that does TLS"],
      ["salt coordinator --redis redis://10.0.0.5:6379/0", "one of many"],
      [
        "salt coordinator --redis redis://10.0.0.5:6379/0 --s3 s3://salt/production --s3-region eu-west-1",
        "with binaries and large values in a bucket, which agents then fetch from there",
      ],
      ["salt coordinator --keep-runs 7d --keep-logs 2d", "for less time than by default"],
      ["salt coordinator --redis redis-cluster://10.0.0.5:6379,10.0.0.6:6379", "on a Redis Cluster"],
    )
    .environment(
      ["SALT_REDIS_URL", "as --redis; keeps a password out of the list of processes"],
      ["SALT_FIRST_ADMIN_TOKEN", "at the first start only: the first admin token, which is then not printed"],
      ["SALT_FIRST_AGENT_TOKEN", "at the first start only: a token for agents"],
    )
    .run(cli, async (_, options) =>
      withVoice(cli, String(options.logLevel), async (voice) => await serve(cli, options, voice)),
    );
}

async function serve(cli: Cli, options: CommandOptions, { logger, say }: ServerVoice): Promise<number> {
  const { startCoordinator } = await import("#coordinator/main.ts");
  const coordinator = await startCoordinator({
    host: String(options.host),
    port: parsePort(String(options.port)),
    dataFolder: path.resolve(cli.cwd, String(options.data)),
    stores: storesOf(cli, options),
    allowRemote: Boolean(options.allowRemote),
    leaseTtlMs: parseLeaseTtl(String(options.leaseTtl)),
    parkAfterMs: parseDuration(String(options.parkAfter)),
    ages: readAges(cli, options),
    firstTokens: firstTokensOf(cli),
    logger,
  });
  // Before anything is said, so that who waits for it may stop us at once.
  const stopped = untilStopped(cli);
  say(`The coordinator listens on ${coordinator.url}`);
  if (coordinator.adminToken !== null) {
    say("Its first admin token, which is not shown again, is on stdout:");
    cli.stdout.write(`${coordinator.adminToken}\n`);
    say(`→ salt context add here --url ${coordinator.url} --token <token>`);
  }
  await stopped;
  await coordinator.close();
  return 0;
}

function storesOf(cli: Cli, options: CommandOptions): NonNullable<CoordinatorOptions["stores"]> {
  const { redis, partitions } = options;
  const s3 = readS3(cli, options);
  const url = redis ?? (cli.env.SALT_REDIS_URL || undefined);
  return {
    ...(url !== undefined && { redis: String(url) }),
    ...(partitions !== undefined && { partitions: parsePartitions(String(partitions)) }),
    ...(s3 !== undefined && { s3 }),
    ...(options.adoptBlobStore === true && { adoptBlobStore: true }),
  };
}

/** By variables alone: a flag would be in the list of processes, for all on the machine to read. */
function firstTokensOf({ env }: Cli): NonNullable<CoordinatorOptions["firstTokens"]> {
  const { SALT_FIRST_ADMIN_TOKEN: admin, SALT_FIRST_AGENT_TOKEN: agent } = env;
  return { ...(admin && { admin }), ...(agent && { agent }) };
}

const durationFlag = (ms: number): string => `${ms / 1_000}s`;

/** Agents renew at a third of it, and dial again within it: below a second every pause would look like a loss. */
function parseLeaseTtl(text: string): number {
  const ms = parseDuration(text);
  if (ms >= 1_000) return ms;
  throw new SaltError("BadRequest", `Cannot use --lease-ttl ${text}: it is less than a second.`, {
    next: "Give 1s or more; the default is 30s.",
  });
}
