import { workflowKey } from "#shared/domain/ids.ts";
import { type RunView, runStatusSchema, type TaskView } from "#shared/protocol/api.ts";
import { type Cli, note } from "../cli.ts";
import type { Client } from "../client.ts";
import { clientOf, type SaltCommand } from "../command.ts";
import { agoText, durationText, parseDuration } from "../duration.ts";
import { followStream } from "../follow.ts";
import { listRows } from "../list-rows.ts";
import { type Column, paintStatus, printFields, printJson, printList } from "../output.ts";
import { parseLimit } from "../parse-flags.ts";
import { progressText } from "../progress-text.ts";
import { dateText } from "../time-text.ts";
import { usageProblem } from "../usage.ts";
import { failureText, outputOf, tellEnd } from "../watch/tell-end.ts";
import { watchRun } from "../watch/watch-run.ts";

export function addRuns(root: SaltCommand, cli: Cli): void {
  const runs = root
    .command("runs")
    .summary("list, get, watch, cancel and retry runs")
    .description("Runs: executions of workflows. A run is named by its id, or by enough of its beginning.")
    .examples(
      ["salt runs list --status failed", "what failed lately"],
      ["salt runs get run_00w8g1", "one run with its tasks"],
      ["salt runs watch run_00w8g1", "as it goes, to its end"],
      ["salt runs cancel run_00w8g1 --reason 'wrong input'", "end it"],
      ["salt runs retry run_00w8g1", "go on from its failed call"],
    ) as SaltCommand;
  addList(runs, cli);
  addGet(runs, cli);
  addWatch(runs, cli);
  addCancel(runs, cli);
  addRetry(runs, cli);
}

function addList(runs: SaltCommand, cli: Cli): void {
  (runs.command("list") as SaltCommand)
    .alias("ls")
    .description("Lists runs, newest first.")
    .option("-s, --status <status>", runStatusSchema.options.join(", "))
    .option("--project <project>", "only of this project")
    .option("--workflow <workflow>", "only of this workflow")
    .option("-n, --limit <n>", "at most so many", "50")
    .withJson()
    .withCoordinator()
    .examples(
      ["salt runs list", "the newest 50"],
      ["salt runs list --status failed --workflow invoice", "some of them"],
      ["salt runs list --json id,status", "for a script"],
    )
    .run(cli, async (_, options) => {
      const { status, project, workflow } = options as Record<string, string | undefined>;
      if (status !== undefined && !runStatusSchema.safeParse(status).success) {
        throw usageProblem(`There is no status '${status}'.`, status, runStatusSchema.options);
      }
      const client = await clientOf(cli, options);
      const query = { status, project, workflow };
      const rows = await listRows(client, "listRuns", { query, limit: parseLimit(options.limit) });
      const narrowed = Object.values(query).some((value) => value !== undefined);
      const empty = narrowed ? "No such runs." : "No runs. → salt run <workflow> starts one";
      printList(cli, rows, runColumns(cli), { json: options.json, empty });
      return 0;
    });
}

const idCharsMin = 16;

/** A run's id on a narrow terminal: its beginning, which stands for it as the whole does. */
const shortId = (id: string, width: number): string => id.slice(0, Math.max(width, idCharsMin));

const runColumns = (cli: Cli): Column<RunView>[] => [
  { title: "RUN", text: (run) => run.id, shorten: shortId },
  { title: "WORKFLOW", text: (run) => `${run.project}/${run.workflow}` },
  { title: "STATUS", text: (run) => run.status, paint: paintStatus },
  { title: "STARTED", text: (run) => agoText(run.createdAtMs, cli.nowMs()) },
  { title: "TOOK", text: (run) => durationText((run.endedAtMs ?? cli.nowMs()) - run.createdAtMs), align: "right" },
  { title: "TRIGGER", text: (run) => run.trigger.name ?? run.trigger.kind },
];

function addGet(runs: SaltCommand, cli: Cli): void {
  (runs.command("get") as SaltCommand)
    .description("Shows one run with its tasks.")
    .argument("<run>", "its id, or enough of its beginning")
    .withJson()
    .withCoordinator()
    .examples(["salt runs get run_00w8g1", "for people"], ["salt runs get run_00w8g1 --json status", "for a script"])
    .run(cli, async ([id = ""], options) => {
      const client = await clientOf(cli, options);
      const run = await client.call("getRun", { params: { run: id } });
      const tasks = await listRows(client, "listTasks", { params: { run: run.id }, limit: 1_000 });
      const waits = await waitsOfRun(client, run);
      if (options.json) printJson(cli, { ...run, waits, output: await outputOf(client, run), tasks }, options.json);
      else tellRun(cli, run, waits, tasks);
      return 0;
    });
}

/** What the run's own workflow task waits for. */
async function waitsOfRun(client: Client, run: RunView): Promise<string | null> {
  if (run.endedAtMs !== null) return null;
  return (await client.call("getTask", { params: { run: run.id, key: workflowKey } })).waits;
}

function tellRun(cli: Cli, run: RunView, waits: string | null, tasks: readonly TaskView[]): void {
  printFields(cli, [
    ["run", run.id],
    ["workflow", `${run.project}/${run.workflow}`],
    ["release", run.release],
    ["status", run.status],
    ["waits", waits],
    ["trigger", [run.trigger.kind, run.trigger.name, run.trigger.by].filter(Boolean).join(" ")],
    ["started", dateText(run.createdAtMs)],
    ["took", durationText((run.endedAtMs ?? cli.nowMs()) - run.createdAtMs)],
    ["input", valueText(run.input)],
    ["output", run.output && valueText(run.output)],
    ["failure", run.failure && failureText(run.failure).trim()],
    ["warnings", run.warnings === 0 ? null : warningsText(run, tasks)],
    ["cancel", run.cancel && `${run.cancel.reason} (by ${run.cancel.by})`],
    ["child of", run.parent && `${run.parent.run} ${run.parent.key}`],
    ["goes on as", run.next],
    ["goes on from", run.previous],
  ]);
  if (tasks.length === 0) return;
  cli.stdout.write("\n");
  printList(cli, tasks, taskColumns(cli, tasks), { empty: "" });
}

const warningsShownMax = 10;

/** How many, and what those said that the tasks have. */
function warningsText(run: RunView, tasks: readonly TaskView[]): string {
  const said = tasks.flatMap((task) =>
    task.checks
      .filter((check) => check.result === "warn")
      .map((check) => `${task.key}: ${check.name}${check.message === undefined ? "" : `: ${check.message}`}`),
  );
  return [String(run.warnings), ...said.slice(0, warningsShownMax)].join("\n");
}

const valueCharsMax = 2_000;

function valueText(value: { json: string } | { blob: string; bytes: number }): string {
  if ("blob" in value) return `${value.bytes} bytes, blob ${value.blob}`;
  return value.json.length > valueCharsMax ? `${value.json.slice(0, valueCharsMax)}…` : value.json;
}

const progressColumn: Column<TaskView> = {
  title: "PROGRESS",
  text: ({ progress }) => (progress ? progressText(progress) : ""),
};

const waitsColumn: Column<TaskView> = { title: "WAITS", text: (task) => task.waits ?? "" };

const childColumn: Column<TaskView> = { title: "CHILD RUN", text: (task) => task.child ?? "", shorten: shortId };

/** An agent's name; its id too where it shares the name with another of the table, alone where it has none any more. */
function agentText(tasks: readonly TaskView[]): (task: TaskView) => string {
  const idsOf = Map.groupBy(
    new Set(tasks.map(({ agent }) => agent)),
    (id) => tasks.find(({ agent }) => agent === id)?.agentName,
  );
  return ({ agent, agentName }) => {
    if (agent === null || agentName === null) return agent ?? "";
    return (idsOf.get(agentName)?.length ?? 0) > 1 ? `${agentName} ${agent}` : agentName;
  };
}

const taskColumns = (cli: Cli, tasks: readonly TaskView[]): Column<TaskView>[] => [
  { title: "TASK", text: (task) => task.key },
  { title: "STATUS", text: (task) => task.status, paint: paintStatus },
  { title: "ATTEMPT", text: (task) => (task.attempt === 0 ? "" : String(task.attempt)), align: "right" },
  { title: "TOOK", text: (task) => durationText((task.endedAtMs ?? cli.nowMs()) - task.createdAtMs), align: "right" },
  { title: "AGENT", text: agentText(tasks) },
  ...(tasks.some((task) => task.child) ? [childColumn] : []),
  ...(tasks.some((task) => task.progress) ? [progressColumn] : []),
  ...(tasks.some((task) => task.waits) ? [waitsColumn] : []),
  { title: "FAILURE", text: (task) => (task.failure ? `${task.failure.type}: ${task.failure.message}` : "") },
];

function addWatch(runs: SaltCommand, cli: Cli): void {
  (runs.command("watch") as SaltCommand)
    .description("Shows a run as it goes, to its end, and prints its output. The exit code is the run's result.")
    .argument("<run>", "its id, or enough of its beginning")
    .option("--timeout <duration>", "stop watching after this time, as 30s or 5m; the run goes on")
    .option("--no-logs", "do not show what tasks write")
    .option("--output <format>", "ndjson: the journal, one JSON object a line")
    .withJson()
    .withCoordinator()
    .examples(
      ["salt runs watch run_00w8g1", "a live table of its tasks"],
      ["salt runs watch run_00w8g1 --output ndjson", "its journal, for a program"],
    )
    .run(cli, async ([id = ""], options) => {
      const client = await clientOf(cli, options);
      const run = await client.call("getRun", { params: { run: id } });
      if (options.output !== undefined) {
        if (options.output !== "ndjson")
          throw usageProblem("There is no such output format.", String(options.output), ["ndjson"]);
        await streamJournal(cli, client, run);
        return 0;
      }
      const timeoutMs = options.timeout === undefined ? null : parseDuration(String(options.timeout));
      const end = await watchRun(cli, client, run, { logs: options.logs !== false, timeoutMs });
      return await tellEnd(cli, client, run, end, options.json);
    });
}

async function streamJournal(cli: Cli, client: Client, run: RunView): Promise<void> {
  const stop = new AbortController();
  const forget = cli.onInterrupt(() => stop.abort());
  const options = { signal: stop.signal };
  for await (const { event, value } of followStream(client, "followJournal", { params: { run: run.id } }, options)) {
    if (event === "entry") cli.stdout.write(`${JSON.stringify(value)}\n`);
  }
  forget();
}

function addCancel(runs: SaltCommand, cli: Cli): void {
  (runs.command("cancel") as SaltCommand)
    .description("Asks a run to end. Its open calls are cancelled; what is shielded may finish.")
    .argument("<run>", "its id, or enough of its beginning")
    .option("--reason <text>", "why; it is kept with the run")
    .withJson()
    .withCoordinator()
    .examples(["salt runs cancel run_00w8g1 --reason 'wrong input'", "end it"])
    .run(cli, async ([id = ""], options) => {
      const client = await clientOf(cli, options);
      const body = options.reason === undefined ? {} : { reason: String(options.reason) };
      const run = await client.call("cancelRun", { params: { run: id }, body });
      if (options.json) printJson(cli, run, options.json);
      note(cli, `${run.id} is ${run.status}`);
      return 0;
    });
}

function addRetry(runs: SaltCommand, cli: Cli): void {
  (runs.command("retry") as SaltCommand)
    .description(
      "Opens a new run that keeps what a failed or cancelled one had done, and goes on from its failed call.",
    )
    .argument("<run>", "its id, or enough of its beginning")
    .withJson()
    .withCoordinator()
    .examples(["salt runs retry run_00w8g1", "prints the new run's id"])
    .run(cli, async ([id = ""], options) => {
      const client = await clientOf(cli, options);
      const run = await client.call("retryRun", { params: { run: id } });
      if (options.json) printJson(cli, run, options.json);
      else cli.stdout.write(`${run.id}\n`);
      note(cli, `→ salt runs watch ${run.id}`);
      return 0;
    });
}
