import type { Cli } from "../cli.ts";
import { SaltCommand } from "../command.ts";
import { type CommandWords, completionScript, shells } from "../completion-script.ts";
import { usageProblem } from "../usage.ts";

interface Loadable {
  readonly load: () => Promise<(root: SaltCommand, cli: Cli, table: readonly never[]) => void>;
}

export function addCompletion(root: SaltCommand, cli: Cli, table: readonly Loadable[]): void {
  root
    .command("completion")
    .summary("print a completion script for bash, zsh or fish")
    .description("Prints a completion script.")
    .argument("<shell>", shells.join(", "))
    .examples(
      ["source <(salt completion bash)", "in ~/.bashrc"],
      ["salt completion zsh > ~/.zfunc/_salt", "a folder of zsh's fpath"],
      ["salt completion fish > ~/.config/fish/completions/salt.fish", "for fish"],
    )
    .run(cli, async ([shell = ""]) => {
      const known = shells.find((name) => name === shell);
      if (known === undefined) throw usageProblem(`There is no completion for '${shell}'.`, shell, shells);
      cli.stdout.write(completionScript(known, await readCommands(cli, table)));
      return 0;
    });
}

/** Every command's words, read off the commands themselves. */
async function readCommands(cli: Cli, table: readonly Loadable[]): Promise<CommandWords[]> {
  const root = new SaltCommand("salt");
  for (const entry of table) (await entry.load())(root, cli, []);
  return root.commands.map((command) => ({
    name: command.name(),
    aliases: command.aliases(),
    summary: command.summary(),
    flags: longFlags(command.options),
    subcommands: command.commands.map((sub) => ({
      name: sub.name(),
      summary: sub.description(),
      flags: longFlags(sub.options),
    })),
  }));
}

const longFlags = (options: readonly { long?: string | undefined }[]): string[] => [
  ...options.flatMap((option) => (option.long ? [option.long] : [])),
  "--help",
];
