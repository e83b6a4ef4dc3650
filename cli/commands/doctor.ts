import { type CheckUp, runCheckUps } from "../check-ups.ts";
import type { Cli } from "../cli.ts";
import { type SaltCommand, settingsOf } from "../command.ts";
import { exitCodes } from "../exit-codes.ts";
import { coloursFor, printJson } from "../output.ts";

export function addDoctor(root: SaltCommand, cli: Cli): void {
  root
    .command("doctor")
    .summary("check what Salt needs, and say what to do")
    .description("Checks this machine, the coordinator and the token. The exit code is 1 when a check fails.")
    .withJson()
    .withCoordinator()
    .examples(["salt doctor", "what is wrong here?"], ["salt doctor --json name,state", "for a script"])
    .run(cli, async (_, options) => {
      const settings = await settingsOf(cli, options);
      const results = await runCheckUps({ env: cli.env, cwd: cli.cwd, nowMs: cli.nowMs }, settings);
      if (options.json) printJson(cli, results, options.json);
      else for (const result of results) tellCheckUp(cli, result);
      return results.some((result) => result.state === "fails") ? exitCodes.failure : exitCodes.ok;
    });
}

function tellCheckUp(cli: Cli, result: CheckUp): void {
  const colours = coloursFor(cli, cli.stdout);
  const marks = {
    fine: colours.green("✔"),
    warns: colours.yellow("!"),
    fails: colours.red("✖"),
    skipped: colours.dim("-"),
  };
  cli.stdout.write(`${marks[result.state]} ${result.name}: ${result.finding}\n`);
  if (result.next !== undefined) cli.stdout.write(`  → ${result.next}\n`);
}
