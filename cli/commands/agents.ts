import { SaltError } from "#shared/domain/errors.ts";
import type { AgentView } from "#shared/protocol/api.ts";
import type { Cli } from "../cli.ts";
import { clientOf, type SaltCommand } from "../command.ts";
import { agoText } from "../duration.ts";
import { listRows } from "../list-rows.ts";
import { didYouMean } from "../nearest.ts";
import { type Column, paintStatus, printFields, printJson, printList } from "../output.ts";
import { parseLimit } from "../parse-flags.ts";
import { dateText } from "../time-text.ts";

export function addAgents(root: SaltCommand, cli: Cli): void {
  const agents = root
    .command("agents")
    .summary("list and get agents")
    .description("Agents: the processes on worker machines that execute tasks.")
    .examples(
      ["salt agents list --label gpu", "those with a label"],
      ["salt agents list --label zone=eu --pool batch", "those with a label of a value, of a pool"],
    ) as SaltCommand;
  (agents.command("list") as SaltCommand)
    .alias("ls")
    .description("Lists agents, last seen first.")
    .option("--pool <pool>", "only of this pool")
    .option("--label <label>", "only with this label, as gpu or zone=eu")
    .option("-n, --limit <n>", "at most so many", "200")
    .withJson()
    .withCoordinator()
    .run(cli, async (_, options) => {
      const client = await clientOf(cli, options);
      const rows = await listRows(client, "listAgents", { limit: parseLimit(options.limit) });
      const wanted = rows.filter((row) =>
        isWanted(row, options.pool as string | undefined, options.label as string | undefined),
      );
      printList(cli, wanted, columns(cli), { json: options.json, empty: "No agents. → salt agent starts one" });
      return 0;
    });
  (agents.command("get") as SaltCommand)
    .description("Shows one agent.")
    .argument("<agent>", "its id, or its name")
    .withJson()
    .withCoordinator()
    .run(cli, async ([name = ""], options) => {
      const client = await clientOf(cli, options);
      const rows = name.startsWith("agt_") ? [] : await listRows(client, "listAgents", { limit: 10_000 });
      const id = name.startsWith("agt_") ? name : rows.find((row) => row.name === name)?.id;
      if (id === undefined) {
        throw new SaltError(
          "NotFound",
          `There is no agent '${name}'.${didYouMean(
            name,
            rows.map((row) => row.name),
          )}`,
          {
            next: "salt agents list",
          },
        );
      }
      const agent = await client.call("getAgent", { params: { agent: id } });
      if (options.json) printJson(cli, agent, options.json);
      else tellAgent(cli, agent);
      return 0;
    });
}

function isWanted(agent: AgentView, pool: string | undefined, label: string | undefined): boolean {
  if (pool !== undefined && agent.pool !== pool) return false;
  if (label === undefined) return true;
  const [name = "", value] = label.split("=");
  return Object.hasOwn(agent.labels, name) && (value === undefined || agent.labels[name] === value);
}

const stateText = (agent: AgentView): string => (agent.connected ? "connected" : "away");
const labelsText = (agent: AgentView): string =>
  Object.entries(agent.labels)
    .map(([name, value]) => (value === "" ? name : `${name}=${value}`))
    .join(" ");

const columns = (cli: Cli): Column<AgentView>[] => [
  { title: "AGENT", text: (agent) => agent.id },
  { title: "NAME", text: (agent) => agent.name },
  { title: "STATE", text: stateText, paint: paintStatus },
  { title: "SEEN", text: (agent) => (agent.connected ? "now" : agoText(agent.seenAtMs, cli.nowMs())) },
  { title: "POOL", text: (agent) => agent.pool },
  { title: "PLATFORM", text: (agent) => agent.platform },
  { title: "SLOTS", text: (agent) => String(agent.capacity.tasks), align: "right" },
  { title: "LABELS", text: labelsText },
];

function tellAgent(cli: Cli, agent: AgentView): void {
  printFields(cli, [
    ["agent", agent.id],
    ["name", agent.name],
    ["state", stateText(agent)],
    [agent.connected ? "connected since" : "seen", dateText(agent.seenAtMs)],
    ["pool", agent.pool],
    ["platform", agent.platform],
    ["version", agent.version],
    ["slots", `${agent.capacity.tasks} tasks, ${agent.capacity.workflows} workflows`],
    ["pythons", agent.pythons?.join(", ") || null],
    ["labels", labelsText(agent) || null],
  ]);
}
