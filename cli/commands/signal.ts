import { type Cli, note } from "../cli.ts";
import { clientOf, type SaltCommand } from "../command.ts";
import { printJson } from "../output.ts";
import { readValue } from "../read-value.ts";

export function addSignal(root: SaltCommand, cli: Cli): void {
  root
    .command("signal")
    .summary("send a signal to a run")
    .description("Sends a signal to a run. It is kept until the workflow waits for one of that name.")
    .argument("<run>", "its id, or enough of its beginning")
    .argument("<name>", "what the workflow waits for")
    .option("--value <json>", "JSON, @file, or - for stdin")
    .option("--id <id>", "the same id again is the same signal")
    .withJson()
    .withCoordinator()
    .examples(
      ["salt signal run_00w8g1 decision --value '{\"approved\":true}'", "with a value"],
      ["salt signal run_00w8g1 decision --id order-17", "safe to send twice"],
    )
    .run(cli, async ([run = "", name = ""], options) => {
      const client = await clientOf(cli, options);
      const value =
        options.value === undefined ? {} : { value: await readValue(cli, "--value", String(options.value)) };
      const id = options.id === undefined ? {} : { id: String(options.id) };
      const sent = await client.call("signalRun", { params: { run, name }, body: { ...id, ...value } });
      if (options.json) printJson(cli, sent, options.json);
      note(cli, `Signal ${name} is with ${run} (${sent.id})`);
      return 0;
    });
}
