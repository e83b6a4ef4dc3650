import path from "node:path";
import { readProject } from "../build/read-project.ts";
import type { Cli } from "../cli.ts";
import type { SaltCommand } from "../command.ts";
import { parsePort, parseSlots } from "../parse-flags.ts";

export function addDev(root: SaltCommand, cli: Cli): void {
  root
    .command("dev")
    .summary("coordinator and agent in one; builds and registers the project on each save")
    .description(
      "Starts a coordinator and an agent for this machine alone, builds and registers the project, and does so again on each save. Commands in the project's folder find it by themselves.",
    )
    .argument("[folder]", "the project's folder", ".")
    .option("--port <port>", "port of the coordinator; default: 7420, or a free one where that is taken")
    .option("--slots <n>", "tasks at once; default: the number of cores")
    .option(
      "--release",
      "register the executables that salt build makes, in place of quicker ones for this machine alone",
    )
    .option("--once", "build and register once, without watching for saves")
    .examples(["salt dev", "in the project's folder"], ["salt run hello", "meanwhile, in another terminal"])
    .run(cli, async ([folder = "."], options) => {
      const project = await readProject(path.resolve(cli.cwd, folder));
      const { runDev } = await import("../dev/run-dev.ts");
      await runDev(cli, {
        folder: project.folder,
        port: options.port === undefined ? null : parsePort(String(options.port)),
        slots: options.slots === undefined ? null : parseSlots(String(options.slots)),
        release: Boolean(options.release),
        watch: !options.once,
      });
      return 0;
    });
}
