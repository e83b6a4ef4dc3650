import { commandTable } from "./command-table.ts";

const groups = ["Projects", "Runs", "Registry and fleet", "Servers", "This machine"] as const;

/** Made from the table alone, so that `salt --help` loads no command. */
export function rootHelp(): string {
  const width = Math.max(...commandTable.map((entry) => entry.name.length));
  const listed = groups.map((group) => {
    const lines = commandTable
      .filter((entry) => entry.group === group)
      .map((entry) => `  ${entry.name.padEnd(width)}  ${entry.summary}`);
    return [`${group}:`, ...lines].join("\n");
  });
  return `Workflows over a fleet of unlike machines.

Usage: salt <command> [flags]

Examples:
  # make a project, and start everything it needs on this machine
  $ salt init my-flow && cd my-flow && salt dev
  # in another terminal: run a workflow and see its output
  $ salt run hello --input '{"name":"Ada"}'
  # what ran lately
  $ salt runs list
  # follow what a run's tasks write
  $ salt logs run_00w8g1 -f

${listed.join("\n\n")}

Flags:
  -h, --help     help on any command
  -V, --version  the version

Environment:
  SALT_URL, SALT_TOKEN, SALT_CONTEXT  which coordinator (salt config view)
  NO_COLOR, FORCE_COLOR               colours
  SALT_DEBUG=1                        show where an error came from

More: salt help <command> · salt help exit-codes
`;
}
