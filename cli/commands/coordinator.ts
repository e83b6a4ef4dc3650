import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import { type Cli, note } from "../cli.ts";
import type { SaltCommand } from "../command.ts";
import { dataFolder } from "../data-folder.ts";
import { parseDuration } from "../duration.ts";
import { parsePort } from "../parse-flags.ts";
import { logLevels, serverLog } from "../server-log.ts";
import { untilStopped } from "../until-stopped.ts";

export function addCoordinator(root: SaltCommand, cli: Cli): void {
  root
    .command("coordinator")
    .summary("start a coordinator")
    .description(
      "Starts a coordinator on embedded stores. Its first admin token is printed once, on stdout, at its first start.",
    )
    .option("--host <host>", "address to listen on", "127.0.0.1")
    .option("--port <port>", "port to listen on; 0 chooses a free one", "7420")
    .option("--data <folder>", "where its state is kept", dataFolder(cli.env, "coordinator"))
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
    .option("--log-level <level>", logLevels.join(", "), "info")
    .examples(
      ["salt coordinator", "on this machine only"],
      ["salt coordinator --data /var/lib/salt --host 0.0.0.0 --allow-remote", "behind a proxy that does TLS"],
    )
    .run(cli, async (_, options) => {
      const logger = serverLog(cli, String(options.logLevel));
      const { startCoordinator } = await import("#coordinator/main.ts");
      const coordinator = await startCoordinator({
        host: String(options.host),
        port: parsePort(String(options.port)),
        dataFolder: path.resolve(cli.cwd, String(options.data)),
        allowRemote: Boolean(options.allowRemote),
        leaseTtlMs: parseLeaseTtl(String(options.leaseTtl)),
        parkAfterMs: parseDuration(String(options.parkAfter)),
        logger,
      });
      // Before anything is said, so that who waits for it may stop us at once.
      const stopped = untilStopped(cli);
      note(cli, `The coordinator listens on ${coordinator.url}`);
      if (coordinator.adminToken !== null) {
        note(cli, "Its first admin token, which is not shown again:");
        cli.stdout.write(`${coordinator.adminToken}\n`);
        note(cli, `→ salt context add here --url ${coordinator.url} --token <token>`);
      }
      await stopped;
      await coordinator.close();
      return 0;
    });
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
