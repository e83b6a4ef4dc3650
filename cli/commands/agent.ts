import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import type { Cli } from "../cli.ts";
import { type CommandOptions, collect, type SaltCommand, settingsOf } from "../command.ts";
import { dataFolder } from "../data-folder.ts";
import { parseDuration } from "../duration.ts";
import { parseLabels, parseSlots } from "../parse-flags.ts";
import { logLevels, type ServerVoice, withVoice } from "../server-log.ts";
import { untilStopped } from "../until-stopped.ts";

export function addAgent(root: SaltCommand, cli: Cli): void {
  root
    .command("agent")
    .summary("start an agent on this machine")
    .description(
      "Starts an agent: it dials the coordinator, leases tasks and executes them. SIGTERM or Ctrl-C lets it finish first.",
    )
    .option("--name <name>", "shown to people; default: the host's name")
    .option("--pool <pool>", "the pool that it serves", "default")
    .option("--label <label>", "as gpu or zone=eu; may be repeated", collect)
    .option("--slots <n>", "tasks at once; default: the number of cores")
    .option("--data <folder>", "its id, binaries and outbox", dataFolder(cli.env, "agent"))
    .option("--drain <duration>", "how long it waits for tasks when it is stopped", "30s")
    .option("--log-level <level>", logLevels.join(", "), "info")
    .withCoordinator()
    .examples(
      ["salt agent --url https://salt.example.org --token <token>", "for a coordinator elsewhere"],
      ["salt agent --url https://a.example.org,https://b.example.org", "for several coordinators over the same stores"],
      ["salt agent --pool batch --label gpu --label zone=eu --slots 4", "of a pool, with labels"],
    )
    .run(cli, async (_, options) =>
      withVoice(cli, String(options.logLevel), async (voice) => await serve(cli, options, voice)),
    );
}

async function serve(cli: Cli, options: CommandOptions, { logger, say }: ServerVoice): Promise<number> {
  const { url, others = [], token } = await settingsOf(cli, options);
  if (token === null) {
    throw new SaltError("NotAuthenticated", `There is no token for the coordinator at ${url.value}.`, {
      next: "salt tokens create <name> --role agent makes one; give it with --token or SALT_TOKEN",
    });
  }
  const { startAgent } = await import("#agent/main.ts");
  const agent = await startAgent({
    url: [url.value, ...others].join(","),
    token: token.value,
    pool: String(options.pool),
    labels: parseLabels((options.label as string[] | undefined) ?? []),
    dataFolder: path.resolve(cli.cwd, String(options.data)),
    drainMs: parseDuration(String(options.drain)),
    logger,
    ...(options.name === undefined ? {} : { name: String(options.name) }),
    ...(options.slots === undefined ? {} : { slots: parseSlots(String(options.slots)) }),
  });
  const stopped = untilStopped(cli);
  say(`Agent ${agent.id} dials ${[url.value, ...others].join(" or ")}`);
  const why = await Promise.race([stopped, agent.closed.then(() => "closed" as const)]);
  if (why === "closed") return 1;
  say("Draining: no new tasks, those under way may finish. Ctrl-C again leaves at once.");
  await agent.drain();
  return 0;
}
