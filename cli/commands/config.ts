import { cacheFolder } from "../build/cache-folder.ts";
import type { Cli } from "../cli.ts";
import { type SaltCommand, settingsOf } from "../command.ts";
import { contextsFile } from "../contexts.ts";
import { printFields, printJson } from "../output.ts";

export function addConfig(root: SaltCommand, cli: Cli): void {
  const config = root
    .command("config")
    .summary("show the settings in force and where they come from")
    .description(
      "Settings come from: flag > environment > project file of salt dev > saved context > default.",
    ) as SaltCommand;
  (config.command("view") as SaltCommand)
    .description("Shows the settings in force. The token is not shown.")
    .option("--show-origin", "also where each comes from")
    .withJson()
    .withCoordinator()
    .examples(["salt config view --show-origin", "why does it talk to that coordinator?"])
    .run(cli, async (_, options) => {
      const { url, token } = await settingsOf(cli, options);
      const masked = token === null ? "none" : token.value.length > 20 ? `${token.value.slice(0, 8)}…` : "…";
      const rows = [
        { name: "url", value: url.value, origin: url.origin },
        { name: "token", value: masked, origin: token?.origin ?? "nowhere" },
        { name: "contexts", value: contextsFile(cli.env), origin: cli.env.SALT_CONFIG ? "SALT_CONFIG" : "default" },
        { name: "cache", value: cacheFolder(cli.env), origin: cli.env.SALT_CACHE ? "SALT_CACHE" : "default" },
      ];
      if (options.json) printJson(cli, rows, options.json);
      else
        printFields(
          cli,
          rows.map((row) => [row.name, options.showOrigin ? `${row.value}  (${row.origin})` : row.value]),
        );
      return 0;
    });
}
