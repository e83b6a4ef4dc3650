import type { TriggerView } from "#shared/protocol/trigger-views.ts";
import { readProject } from "../build/read-project.ts";
import { type Cli, note } from "../cli.ts";
import { clientOf, type SaltCommand } from "../command.ts";
import { agoText, durationText } from "../duration.ts";
import { listRows } from "../list-rows.ts";
import { type Column, printJson, printList } from "../output.ts";
import { parseLimit } from "../parse-flags.ts";
import { readValue } from "../read-value.ts";

export function addTriggers(root: SaltCommand, cli: Cli): void {
  const triggers = root
    .command("triggers")
    .summary("list and fire triggers")
    .description("Triggers: rules of salt.yaml that start runs.")
    .examples(
      ["salt triggers list", "all of them, with their next occasion"],
      ["salt triggers fire billing/nightly", "now, out of turn"],
    ) as SaltCommand;
  (triggers.command("list") as SaltCommand)
    .alias("ls")
    .description("Lists the triggers of all projects.")
    .option("-n, --limit <n>", "at most so many", "200")
    .withJson()
    .withCoordinator()
    .run(cli, async (_, options) => {
      const client = await clientOf(cli, options);
      const rows = await listRows(client, "listTriggers", { limit: parseLimit(options.limit) });
      printList(cli, rows, columns(cli), { json: options.json, empty: "No triggers. They are declared in salt.yaml" });
      return 0;
    });
  (triggers.command("fire") as SaltCommand)
    .description("Fires a trigger now and prints the run's id.")
    .argument("<trigger>", "its name, or project/name; the project is by default this folder's")
    .option("-i, --input <json>", "in place of the trigger's own: JSON, @file, or - for stdin")
    .option("--idempotency-key <key>", "the same key with the same request is the same run")
    .withJson()
    .withCoordinator()
    .run(cli, async ([full = ""], options) => {
      const [first = "", second] = full.split("/");
      const project = second === undefined ? (await readProject(cli.cwd)).name : first;
      const trigger = second ?? first;
      const client = await clientOf(cli, options);
      const input =
        options.input === undefined ? {} : { input: await readValue(cli, "--input", String(options.input)) };
      const headers = options.idempotencyKey === undefined ? {} : { "idempotency-key": String(options.idempotencyKey) };
      const run = await client.call("fireTrigger", { params: { project, trigger }, body: input, headers });
      if (options.json) printJson(cli, run, options.json);
      else cli.stdout.write(`${run.id}\n`);
      note(cli, `→ salt runs watch ${run.id}`);
      return 0;
    });
}

const columns = (cli: Cli): Column<TriggerView>[] => [
  { title: "TRIGGER", text: (row) => `${row.project}/${row.name}` },
  { title: "KIND", text: (row) => row.kind },
  { title: "WORKFLOW", text: (row) => row.workflow },
  { title: "WHEN", text: (row) => (row.cron === undefined ? (row.url ?? "") : `${row.cron} ${row.timezone ?? ""}`) },
  { title: "NEXT", text: (row) => (row.nextAtMs === null ? "" : `in ${durationText(row.nextAtMs - cli.nowMs())}`) },
  { title: "LAST", text: (row) => (row.lastFiredAtMs === null ? "never" : agoText(row.lastFiredAtMs, cli.nowMs())) },
  { title: "PROBLEM", text: (row) => row.lastProblem ?? "", paint: (colours, text) => colours.red(text) },
];
