import path from "node:path";
import { type Cli, isInteractive, note } from "../cli.ts";
import type { SaltCommand } from "../command.ts";
import { defaultTemplate, initProject, templates } from "../init-project.ts";
import { printJson } from "../output.ts";

export function addInit(root: SaltCommand, cli: Cli): void {
  const listed = Object.entries(templates).map(([name, what]) => `${name} (${what})`);
  root
    .command("init")
    .summary("make a new project from a template")
    .description("Makes a new project from a template. Overwrites nothing and needs no network.")
    .argument("<folder>", "the project's folder, made where it is absent")
    .option("-t, --template <template>", listed.join(", "))
    .option("--name <name>", "the project's name; default: the folder's")
    .option("--json [fields]", "print JSON; with fields (a,b), only those")
    .examples(
      ["salt init my-flow", "the smallest project"],
      ["salt init my-flow --template approval", "a workflow that waits for a person"],
      ["salt init my-flow --template python", "in Python"],
      ["salt init . --name my-flow", "in this folder"],
    )
    .run(cli, async ([folder = "."], options) => {
      const template = (options.template as string | undefined) ?? (await askTemplate(cli));
      if (template === null) return 130;
      const made = await initProject({
        env: cli.env,
        folder: path.resolve(cli.cwd, folder),
        template,
        ...(options.name === undefined ? {} : { name: String(options.name) }),
      });
      if (options.json) printJson(cli, made, options.json);
      note(cli, `Made the project '${made.name}' in ${made.folder}: ${made.files.join(", ")}`);
      const relative = path.relative(cli.cwd, made.folder);
      if (relative !== "") note(cli, `→ cd ${shellWord(relative)}`);
      note(cli, "→ salt dev");
      note(cli, `→ ${made.tryIt}   (in another terminal)`);
      return 0;
    });
}

/** As a shell reads it as one word. */
const shellWord = (text: string): string =>
  /^[\p{L}\p{N}_./+@%:,=-]+$/u.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/** With a terminal a choice, without one the default. */
async function askTemplate(cli: Cli): Promise<string | null> {
  if (!isInteractive(cli)) return defaultTemplate;
  const { isCancel, select } = await import("@clack/prompts");
  const options = Object.entries(templates).map(([value, hint]) => ({ value, label: value, hint }));
  const chosen = await select({
    message: "Which template?",
    options,
    initialValue: defaultTemplate,
    output: process.stderr,
  });
  return isCancel(chosen) ? null : chosen;
}
