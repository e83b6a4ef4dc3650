import { readProject } from "../build/read-project.ts";
import { type Cli, note } from "../cli.ts";
import { clientOf, type SaltCommand } from "../command.ts";
import { printJson } from "../output.ts";
import { readValue } from "../read-value.ts";

export function addEvents(root: SaltCommand, cli: Cli): void {
  const events = root
    .command("events")
    .summary("send an event to all runs that wait for it")
    .description("Events: facts that any number of runs may wait for.") as SaltCommand;
  (events.command("send") as SaltCommand)
    .description("Sends an event to every run of a project that waits for it.")
    .argument("<name>", "its name, or project/name; the project is by default this folder's")
    .option("--value <json>", "JSON, @file, or - for stdin")
    .option("--id <id>", "the same id again is the same event")
    .withJson()
    .withCoordinator()
    .examples(
      ["salt events send paid --value '{\"order\":17}'", "to the runs of this folder's project"],
      ["salt events send billing/paid --id payment-9 --value @payment.json", "to another's; safe to send twice"],
    )
    .run(cli, async ([full = ""], options) => {
      const client = await clientOf(cli, options);
      const [first = "", second] = full.split("/");
      const project = second === undefined ? (await readProject(cli.cwd)).name : first;
      const name = second ?? first;
      const value =
        options.value === undefined ? {} : { value: await readValue(cli, "--value", String(options.value)) };
      const id = options.id === undefined ? {} : { id: String(options.id) };
      const sent = await client.call("sendEvent", { body: { project, name, ...id, ...value } });
      if (options.json) printJson(cli, sent, options.json);
      note(cli, `Event ${project}/${name} is accepted (${sent.id})`);
      return 0;
    });
}
