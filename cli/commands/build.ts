import path from "node:path";
import { platformSchema } from "#shared/protocol/common.ts";
import { type Built, buildProject } from "../build/build-project.ts";
import type { BuiltBinary } from "../build/toolchain.ts";
import { bytesText } from "../bytes-text.ts";
import { type Cli, note } from "../cli.ts";
import { type CommandOptions, collect, type SaltCommand } from "../command.ts";
import { durationText } from "../duration.ts";
import { printJson } from "../output.ts";
import { usageProblem } from "../usage.ts";

export function addBuild(root: SaltCommand, cli: Cli): void {
  root
    .command("build")
    .summary("make the project's executables and manifest")
    .description(
      "Checks the types, bundles the project with everything it needs, and makes one executable per platform.",
    )
    .argument("[folder]", "the project's folder", ".")
    .option("-p, --platform <platform>", "build for this one instead of those in salt.yaml; may be repeated", collect)
    .withJson()
    .examples(
      ["salt build", "for the platforms of salt.yaml, by default this machine's"],
      ["salt build --platform linux-arm64 --platform linux-x64", "for others"],
      ["dist/linux-x64/main run hello --input '{}'", "execute what was built, without Salt"],
    )
    .environment(["SALT_CACHE", "where builds keep what they share"])
    .run(cli, async ([folder = "."], options) => {
      const built = await build(cli, folder, options);
      for (const binary of built.binaries) note(cli, binaryLine(cli, binary));
      note(cli, `Built '${built.project.name}' in ${durationText(built.tookMs)}`);
      if (options.json) printJson(cli, builtObject(built), options.json);
      return 0;
    });
}

export async function build(cli: Cli, folder: string, options: CommandOptions): Promise<Built> {
  const platforms = (options.platform as string[] | undefined)?.map((name) => {
    const parsed = platformSchema.safeParse(name);
    if (parsed.success) return parsed.data;
    throw usageProblem(`There is no platform '${name}'.`, name, platformSchema.options);
  });
  const deps = { env: cli.env, nowMs: cli.nowMs, say: (line: string) => note(cli, line) };
  const built = await buildProject(deps, {
    folder: path.resolve(cli.cwd, folder),
    ...(platforms ? { platforms } : {}),
  });
  tellPrinted(cli, built);
  return built;
}

/** Nobody sees it otherwise: a program's stdout is the log of its tasks. */
export function tellPrinted(cli: Cli, { printed }: Built): void {
  if (printed !== null) note(cli, `Its modules print to stdout when they are imported:\n${printed}`);
}

function binaryLine(cli: Cli, binary: BuiltBinary): string {
  const file = path.relative(cli.cwd, binary.file) || binary.file;
  return `${file}  ${bytesText(binary.bytes)}  sha256 ${binary.sha256.slice(0, 12)}${binary.reused ? "  (unchanged)" : ""}`;
}

const builtObject = (built: Built): object => ({
  project: built.project.name,
  manifest: built.manifestFile,
  workflows: built.manifest.description.workflows.map((workflow) => workflow.name),
  tasks: built.manifest.description.tasks.map((task) => task.name),
  binaries: built.binaries,
  tookMs: built.tookMs,
});
