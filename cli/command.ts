import { Command, Help, Option } from "commander";
import type { Cli } from "./cli.ts";
import { type Client, createClient } from "./client.ts";
import { keepFlags, keepText, variableOf } from "./keep-flags.ts";
import { s3Flags } from "./s3-flags.ts";
import { type Flags, readSettings, type Settings } from "./settings.ts";

/** A command of `salt`: commander's, with examples and the variables that it heeds in its help. */
export class SaltCommand extends Command {
  #examples: readonly (readonly [string, string])[] = [];
  #environment: readonly (readonly [string, string])[] = [];

  override createCommand(name?: string): SaltCommand {
    return new SaltCommand(name);
  }

  override createHelp(): Help {
    return Object.assign(new SaltHelp(), this.configureHelp());
  }

  /** Pairs of a command line and what it does. */
  examples(...examples: readonly (readonly [string, string])[]): this {
    this.#examples = examples;
    return this;
  }

  /** May be called more than once. */
  environment(...variables: readonly (readonly [string, string])[]): this {
    this.#environment = [...this.#environment, ...variables];
    return this;
  }

  get helpParts(): {
    examples: readonly (readonly [string, string])[];
    environment: readonly (readonly [string, string])[];
  } {
    return { examples: this.#examples, environment: this.#environment };
  }

  /** `--json` on what reads: whole, or only the fields named. */
  withJson(): this {
    return this.option("--json [fields]", "print JSON; with fields (a,b), only those");
  }

  /** The flags and variables that say which coordinator. */
  withCoordinator(): this {
    this.addOption(new Option("--url <url>", "address of the coordinator; of several over the same stores, by comma"));
    this.addOption(new Option("--token <token>", "token for the coordinator"));
    this.addOption(new Option("--context <name>", "a context saved with salt context add"));
    return this.environment(
      ["SALT_URL", "address of the coordinator; of several over the same stores, by comma"],
      ["SALT_TOKEN", "token for the coordinator"],
      ["SALT_CONTEXT", "name of a saved context"],
    );
  }

  /** The flags and variables that say in which bucket bytes are. */
  withS3(): this {
    for (const [flag, value, what] of s3Flags) {
      this.addOption(new Option(value === null ? flag : `${flag} <${value}>`, what));
    }
    return this.environment(...s3Flags.map(([flag, , , variable]) => [variable, `as ${flag}`] as const), [
      "AWS_ACCESS_KEY_ID, …",
      "credentials for the bucket, as AWS's own tools take them",
    ]);
  }

  /** The flags and variables that say how long things are kept. */
  withKeep(): this {
    for (const keep of keepFlags) {
      const what = `keep ${keep.what}; never: for ever (default: ${keepText(keep.defaultMs)})`;
      this.addOption(new Option(`--keep-${keep.name} <duration>`, what));
    }
    return this.environment(...keepFlags.map((keep) => [variableOf(keep), `as --keep-${keep.name}`] as const));
  }

  /** Runs the action with its options; what it returns is the exit code, nothing is 0. */
  run(cli: Cli, action: (args: string[], options: CommandOptions) => Promise<number | undefined>): this {
    return this.action(async () => {
      const options: CommandOptions = this.opts();
      cli.json = options.json !== undefined && options.json !== false;
      cli.exitCode = (await action(this.args, options)) ?? 0;
    });
  }
}

/** Parsed flags: commander's, of which each command knows its own. */
export type CommandOptions = Flags & { readonly json?: string | boolean } & Readonly<Record<string, unknown>>;

export async function settingsOf(cli: Cli, options: CommandOptions): Promise<Settings> {
  return await readSettings(cli, options);
}

export async function clientOf(cli: Cli, options: CommandOptions): Promise<Client> {
  return createClient(await settingsOf(cli, options));
}

/** One line, usage, examples, commands, flags, environment. */
class SaltHelp extends Help {
  override formatHelp(command: Command, helper: Help): string {
    const { examples, environment } =
      command instanceof SaltCommand ? command.helpParts : { examples: [], environment: [] };
    const sections = [
      helper.commandDescription(command),
      `Usage: ${helper.commandUsage(command)}`,
      section(
        "Examples",
        examples.flatMap(([line, what]) => [`# ${what}`, `$ ${line}`]),
      ),
      section(
        "Arguments",
        pairLines(
          helper
            .visibleArguments(command)
            .map((argument) => [helper.argumentTerm(argument), helper.argumentDescription(argument)]),
        ),
      ),
      section(
        "Commands",
        pairLines(
          helper.visibleCommands(command).map((sub) => [helper.subcommandTerm(sub), helper.subcommandDescription(sub)]),
        ),
      ),
      section(
        "Flags",
        pairLines(
          helper.visibleOptions(command).map((option) => [helper.optionTerm(option), helper.optionDescription(option)]),
        ),
      ),
      section("Environment", pairLines(environment)),
    ];
    return `${sections.filter((text) => text !== "").join("\n\n")}\n`;
  }
}

export function section(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? "" : [`${title}:`, ...lines.map((line) => `  ${line}`)].join("\n");
}

export function pairLines(pairs: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(0, ...pairs.map(([term]) => term.length));
  return pairs.map(([term, text]) => `${term.padEnd(width)}  ${text}`.trimEnd());
}

/** A flag that may be given several times. */
export const collect = (value: string, before: readonly string[] | undefined): string[] => [...(before ?? []), value];
