import type { RegisteredRelease } from "#shared/protocol/api.ts";
import type { Built } from "../build/build-project.ts";
import { bytesText } from "../bytes-text.ts";
import { type Cli, note } from "../cli.ts";
import { type Client, createClient } from "../client.ts";
import { collect, type SaltCommand, settingsOf } from "../command.ts";
import { coloursFor, printJson } from "../output.ts";
import { ProgressLine } from "../progress-line.ts";
import { registerProject } from "../register-project.ts";
import { build } from "./build.ts";

export function addRegisterWorkflow(root: SaltCommand, cli: Cli): void {
  root
    .command("register-workflow")
    .alias("register")
    .summary("build where needed, upload, and make it the release that new runs use")
    .description(
      "Builds the project where something changed, uploads what the coordinator lacks, and registers the release.",
    )
    .argument("[folder]", "the project's folder", ".")
    .option("-p, --platform <platform>", "build for this one instead of those in salt.yaml; may be repeated", collect)
    .withJson()
    .withCoordinator()
    .examples(
      ["salt register-workflow", "this project at the coordinator of salt config view"],
      ["salt register-workflow flows/billing --context production", "another project, elsewhere"],
      ["salt register --json release", "only the release's id"],
    )
    .run(cli, async ([folder = "."], options) => {
      const client = createClient(await settingsOf(cli, options));
      // Asked first, so that a wrong address or token does not cost a build.
      await client.call("findMissingBlobs", { body: { digests: [] } });
      const built = await build(cli, folder, options);
      const registered = await register(cli, client, built);
      if (options.json) printJson(cli, { ...registered, workflows: workflowNames(built) }, options.json);
      else tellRelease(cli, client, built, registered);
      return 0;
    });
}

async function register(cli: Cli, client: Client, built: Built): Promise<RegisteredRelease> {
  const line = new ProgressLine(cli);
  try {
    return await registerProject(
      {
        client,
        onUpload: (binary, sentBytes) => line.show(`Uploading ${binary.platform}`, sentBytes, binary.bytes),
        onDetour: (why) => note(cli, `${why} It goes through the coordinator.`),
      },
      built,
    );
  } finally {
    line.close();
  }
}

const workflowNames = (built: Built): string[] => built.manifest.description.workflows.map((workflow) => workflow.name);

function tellRelease(cli: Cli, client: Client, built: Built, registered: RegisteredRelease): void {
  const colours = coloursFor(cli, cli.stdout);
  const write = (line: string) => cli.stdout.write(`${line}\n`);
  const bytes = built.binaries.reduce((sum, binary) => sum + binary.bytes, 0);
  write(
    `${colours.green("✔")} ${registered.project}  ${registered.release}${registered.created ? "" : "  (registered before)"}`,
  );
  write(`  workflows  ${workflowNames(built).join(", ") || "none"}`);
  write(`  binaries   ${built.binaries.map((binary) => binary.platform).join(", ")}  ${bytesText(bytes)}`);
  for (const trigger of registered.triggers) {
    write(`  trigger    ${trigger.name} (${trigger.kind})`);
    if (trigger.url !== undefined) write(`             ${new URL(trigger.url, client.url).href}`);
    if (trigger.secret !== undefined) write(`             secret ${trigger.secret}  (not shown again)`);
  }
  const [first] = workflowNames(built);
  if (first !== undefined) note(cli, `→ salt run ${registered.project}/${first}`);
}
