import { roleSchema, type TokenView } from "#shared/protocol/api.ts";
import { type Cli, note } from "../cli.ts";
import { clientOf, type SaltCommand } from "../command.ts";
import { agoText, durationText, parseDuration } from "../duration.ts";
import { listRows } from "../list-rows.ts";
import { type Column, printJson, printList } from "../output.ts";
import { parseLimit } from "../parse-flags.ts";
import { usageProblem } from "../usage.ts";

export function addTokens(root: SaltCommand, cli: Cli): void {
  const tokens = root
    .command("tokens")
    .summary("create, list and revoke API tokens")
    .description("API tokens. Only their hash is stored: a token is shown once, when it is made.")
    .examples(
      ["salt tokens create ci --role deployer --expires 90d", "for a pipeline that registers releases"],
      ["salt tokens create site-a --role agent", "for agents"],
    ) as SaltCommand;
  addCreate(tokens, cli);
  (tokens.command("list") as SaltCommand)
    .alias("ls")
    .description("Lists tokens, newest first, without their secrets.")
    .option("-n, --limit <n>", "at most so many", "200")
    .withJson()
    .withCoordinator()
    .run(cli, async (_, options) => {
      const client = await clientOf(cli, options);
      const rows = await listRows(client, "listTokens", { limit: parseLimit(options.limit) });
      printList(cli, rows, columns(cli), {
        json: options.json,
        empty: "No tokens. → salt tokens create <name> --role <role>",
      });
      return 0;
    });
  (tokens.command("revoke") as SaltCommand)
    .description("Revokes a token. It is refused from now on.")
    .argument("<token>", "its id")
    .withCoordinator()
    .run(cli, async ([token = ""], options) => {
      const client = await clientOf(cli, options);
      await client.call("revokeToken", { params: { token } });
      note(cli, `Token ${token} is revoked`);
      return 0;
    });
}

function addCreate(tokens: SaltCommand, cli: Cli): void {
  (tokens.command("create") as SaltCommand)
    .description("Makes a token and prints it, this once, on stdout.")
    .argument("<name>", "for people: who or what uses it")
    .requiredOption("-r, --role <role>", roleSchema.options.join(", "))
    .option("--expires <duration>", "as 12h or 90d; default: never")
    .withJson()
    .withCoordinator()
    .run(cli, async ([name = ""], options) => {
      const role = roleSchema.safeParse(options.role);
      if (!role.success)
        throw usageProblem(`There is no role '${String(options.role)}'.`, String(options.role), roleSchema.options);
      const expires = options.expires === undefined ? {} : { expiresInMs: parseDuration(String(options.expires)) };
      const client = await clientOf(cli, options);
      const created = await client.call("createToken", { body: { name, role: role.data, ...expires } });
      if (options.json) printJson(cli, created, options.json);
      else cli.stdout.write(`${created.token}\n`);
      note(cli, `Token ${created.id} '${created.name}' with role ${created.role}. It is not shown again.`);
      return 0;
    });
}

const columns = (cli: Cli): Column<TokenView>[] => [
  { title: "TOKEN", text: (row) => row.id },
  { title: "NAME", text: (row) => row.name },
  { title: "ROLE", text: (row) => row.role },
  { title: "MADE", text: (row) => agoText(row.createdAtMs, cli.nowMs()) },
  { title: "BY", text: (row) => row.createdBy },
  {
    title: "EXPIRES",
    text: (row) => (row.expiresAtMs === null ? "never" : `in ${durationText(row.expiresAtMs - cli.nowMs())}`),
  },
];
