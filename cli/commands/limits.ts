import type { LimitView } from "#shared/protocol/limit-views.ts";
import type { Cli } from "../cli.ts";
import { clientOf, type SaltCommand } from "../command.ts";
import { listRows } from "../list-rows.ts";
import { type Column, printList } from "../output.ts";
import { parseLimit } from "../parse-flags.ts";

export function addLimits(root: SaltCommand, cli: Cli): void {
  const limits = root
    .command("limits")
    .summary("list limits on tasks that are at work at once")
    .description("Limits: how many tasks that name one are ready or running at once, over all runs of a project.")
    .examples(
      ["salt limits list", "those that tasks are under now"],
      ["salt limits list --json project,name,waiting", "where tasks wait, for a script"],
      ["salt limits list --limit 20", "the first by name"],
    ) as SaltCommand;
  (limits.command("list") as SaltCommand)
    .alias("ls")
    .description("Lists the limits under which tasks hold a slot or wait for one.")
    .option("-n, --limit <n>", "at most so many", "200")
    .withJson()
    .withCoordinator()
    .run(cli, async (_, options) => {
      const client = await clientOf(cli, options);
      const rows = await listRows(client, "listLimits", { limit: parseLimit(options.limit) });
      printList(cli, rows, columns, { json: options.json, empty: "No task is under a limit at the moment" });
      return 0;
    });
}

const columns: Column<LimitView>[] = [
  { title: "LIMIT", text: (row) => `${row.project}/${row.name}` },
  { title: "MAX", text: (row) => String(row.max), align: "right" },
  { title: "HELD", text: (row) => String(row.held), align: "right" },
  { title: "WAITING", text: (row) => String(row.waiting), align: "right" },
];
