import { type Cli, systemCli } from "./cli.ts";
import type { CommandEntry } from "./command-table.ts";

/** Flags of the whole program that take a value, and so may stand before the command with it. */
const leadingFlags = new Set(["--url", "--token", "--context"]);

/** Executes one command line. Returns the exit code; throws nothing. */
export async function runCli(argv: readonly string[], cli: Cli = systemCli()): Promise<number> {
  try {
    await dispatch(cli, argv);
  } catch (error) {
    const { tellError } = await import("./error-text.ts");
    cli.exitCode = tellError(cli, error);
  }
  return cli.exitCode;
}

async function dispatch(cli: Cli, argv: readonly string[]): Promise<void> {
  const { at, word } = findWord(argv);
  if (word === "help") return await tellHelp(cli, argv.slice(at + 1));
  if (word === null) {
    if (argv.includes("--version") || argv.includes("-V")) return await tellVersion(cli);
    const asked = argv.length === 0 || argv.includes("--help") || argv.includes("-h");
    if (!asked) throw await usageError(`There is no flag '${argv[0]}' before a command.`, "salt --help");
    const { rootHelp } = await import("./root-help.ts");
    cli.stdout.write(rootHelp());
    return;
  }
  const entry = await findEntry(word);
  // Flags that stand before the command are given to it.
  await runCommand(cli, entry, [word, ...argv.slice(at + 1), ...argv.slice(0, at)]);
}

function findWord(argv: readonly string[]): { at: number; word: string | null } {
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? "";
    if (leadingFlags.has(word)) at++;
    else if (!word.startsWith("-")) return { at, word };
  }
  return { at: argv.length, word: null };
}

async function findEntry(word: string): Promise<CommandEntry> {
  const { commandWords, findCommand } = await import("./command-table.ts");
  const entry = findCommand(word);
  if (entry) return entry;
  const { didYouMean } = await import("./nearest.ts");
  throw await usageError(`There is no command '${word}'.${didYouMean(word, commandWords())}`, "salt --help");
}

async function usageError(message: string, next: string): Promise<Error> {
  const { SaltError } = await import("#shared/domain/errors.ts");
  return new SaltError("BadRequest", message, { next });
}

async function runCommand(cli: Cli, entry: CommandEntry, argv: readonly string[]): Promise<void> {
  const [{ SaltCommand }, { commandTable }, addCommand] = await Promise.all([
    import("./command.ts"),
    import("./command-table.ts"),
    entry.load(),
  ]);
  const root = new SaltCommand("salt");
  root
    .exitOverride()
    .configureOutput({
      writeOut: (text) => cli.stdout.write(text),
      writeErr: (text) => cli.stderr.write(text),
      // Told with all other errors, in one place.
      outputError: () => undefined,
    })
    .showSuggestionAfterError(true)
    .helpOption("-h, --help", "this help");
  addCommand(root, cli, commandTable);
  cli.json = argv.some((word) => word === "--json" || word.startsWith("--json="));
  await root.parseAsync(settleJson(argv), { from: "user" });
}

/** `--json` before an id takes no fields: `runs get --json run_01` means the run. */
function settleJson(argv: readonly string[]): string[] {
  const at = argv.indexOf("--json");
  const isId = at >= 0 && /^[a-z]{3}_/.test(argv[at + 1] ?? "");
  return isId ? [...argv.slice(0, at), ...argv.slice(at + 1), "--json"] : [...argv];
}

async function tellHelp(cli: Cli, topics: readonly string[]): Promise<void> {
  const topic = topics[0];
  if (topic === "exit-codes") {
    const { exitCodesText } = await import("./exit-codes.ts");
    cli.stdout.write(exitCodesText);
  } else if (topic === undefined) {
    const { rootHelp } = await import("./root-help.ts");
    cli.stdout.write(rootHelp());
  } else {
    await runCommand(cli, await findEntry(topic), [...topics, "--help"]);
  }
}

async function tellVersion(cli: Cli): Promise<void> {
  const { saltVersion } = await import("./version.ts");
  cli.stdout.write(`salt ${saltVersion}\n`);
}
