import type { WorkflowRow, WorkflowView } from "#shared/protocol/api.ts";
import type { Cli } from "../cli.ts";
import { clientOf, type SaltCommand } from "../command.ts";
import { agoText } from "../duration.ts";
import { findWorkflow } from "../find-workflow.ts";
import { listRows } from "../list-rows.ts";
import { type Column, printFields, printJson, printList } from "../output.ts";
import { parseLimit } from "../parse-flags.ts";
import { dateText } from "../time-text.ts";

export function addWorkflows(root: SaltCommand, cli: Cli): void {
  const workflows = root
    .command("workflows")
    .summary("list and get registered workflows")
    .description("Workflows of the projects' current releases.")
    .examples(
      ["salt workflows list", "all of them"],
      ["salt workflows get hello", "one, with its schemas"],
    ) as SaltCommand;
  (workflows.command("list") as SaltCommand)
    .alias("ls")
    .description("Lists the workflows that can be run.")
    .option("--project <project>", "only of this project")
    .option("-n, --limit <n>", "at most so many", "200")
    .withJson()
    .withCoordinator()
    .run(cli, async (_, options) => {
      const client = await clientOf(cli, options);
      const query = options.project === undefined ? {} : { project: options.project };
      const rows = await listRows(client, "listWorkflows", { query, limit: parseLimit(options.limit) });
      const empty = "No workflows. → salt register-workflow registers a project's";
      printList(cli, rows, columns(cli), { json: options.json, empty });
      return 0;
    });
  (workflows.command("get") as SaltCommand)
    .description("Shows one workflow with its schemas, task types and triggers.")
    .argument("<workflow>", "its name, or project/name")
    .withJson()
    .withCoordinator()
    .run(cli, async ([name = ""], options) => {
      const client = await clientOf(cli, options);
      const workflow = await client.call("getWorkflow", { params: await findWorkflow(cli, client, name) });
      if (options.json) printJson(cli, workflow, options.json);
      else tellWorkflow(cli, workflow);
      return 0;
    });
}

const columns = (cli: Cli): Column<WorkflowRow>[] => [
  { title: "WORKFLOW", text: (row) => `${row.project}/${row.name}` },
  { title: "REGISTERED", text: (row) => agoText(row.registeredAtMs, cli.nowMs()) },
  { title: "RELEASE", text: (row) => row.release },
  { title: "DESCRIPTION", text: (row) => row.description ?? "" },
];

function tellWorkflow(cli: Cli, workflow: WorkflowView): void {
  printFields(cli, [
    ["workflow", `${workflow.project}/${workflow.name}`],
    ["description", workflow.description ?? null],
    ["release", workflow.release],
    ["registered", dateText(workflow.registeredAtMs)],
    ["task types", workflow.tasks.join(", ") || null],
    ["triggers", workflow.triggers.join(", ") || null],
    ["input", JSON.stringify(workflow.input, null, 2)],
    ["output", JSON.stringify(workflow.output, null, 2)],
  ]);
}
