import { SaltError } from "#shared/domain/errors.ts";
import { type Cli, note } from "../cli.ts";
import type { SaltCommand } from "../command.ts";
import { contextsFile, readContexts, writeContexts } from "../contexts.ts";
import { didYouMean } from "../nearest.ts";
import { printList } from "../output.ts";

export function addContext(root: SaltCommand, cli: Cli): void {
  const context = root
    .command("context")
    .summary("save and choose coordinators")
    .description("Contexts: coordinators with a token each, in a file of yours that only you can read.")
    .examples(
      ["salt context add production --url https://salt.example.org --token <token>", "save one"],
      ["salt context use production", "use it from now on"],
      ["salt runs list --context staging", "use another, once"],
    )
    .environment(["SALT_CONFIG", "the file; default: salt/contexts.json in your configuration folder"]) as SaltCommand;
  addList(context, cli);
  addAdd(context, cli);
  (context.command("use") as SaltCommand)
    .description("Makes a context the one that commands use by default.")
    .argument("<name>")
    .run(cli, async ([name = ""]) => {
      const { contexts } = await readContexts(cli.env);
      assertKnown(name, contexts);
      await writeContexts(cli.env, { current: name, contexts });
      note(cli, `Using ${name} (${contexts[name]?.url ?? ""})`);
      return 0;
    });
  (context.command("remove") as SaltCommand)
    .description("Forgets a context and its token.")
    .argument("<name>")
    .run(cli, async ([name = ""]) => {
      const { current, contexts } = await readContexts(cli.env);
      assertKnown(name, contexts);
      const { [name]: _, ...rest } = contexts;
      await writeContexts(cli.env, { current: current === name ? null : current, contexts: rest });
      note(cli, `Forgot ${name}`);
      return 0;
    });
}

function addList(context: SaltCommand, cli: Cli): void {
  (context.command("list") as SaltCommand)
    .alias("ls")
    .description("Lists the saved contexts.")
    .withJson()
    .run(cli, async (_, options) => {
      const { current, contexts } = await readContexts(cli.env);
      const rows = Object.entries(contexts).map(([name, { url, token }]) => ({
        name,
        url,
        current: name === current,
        token: token !== undefined,
      }));
      const columns = [
        { title: "", text: (row: { current: boolean }) => (row.current ? "*" : "") },
        { title: "CONTEXT", text: (row: { name: string }) => row.name },
        { title: "URL", text: (row: { url: string }) => row.url },
        { title: "TOKEN", text: (row: { token: boolean }) => (row.token ? "saved" : "none") },
      ];
      printList(cli, rows, columns, {
        json: options.json,
        empty: "No contexts. → salt context add <name> --url <url>",
      });
      return 0;
    });
}

function addAdd(context: SaltCommand, cli: Cli): void {
  (context.command("add") as SaltCommand)
    .description(`Saves a coordinator's address and token. The first one saved is used from then on.`)
    .argument("<name>")
    .requiredOption("--url <url>", "address of the coordinator")
    .option("--token <token>", "its token; - reads it from stdin, which keeps it out of the shell's history")
    .run(cli, async ([name = ""], options) => {
      if (!/^[\w.-]{1,63}$/.test(name)) {
        throw new SaltError("BadRequest", `'${name}' cannot be a context's name.`, {
          next: "use letters, digits, '.', '_' and '-'",
        });
      }
      const url = String(options.url);
      if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
        throw new SaltError("BadRequest", `'${url}' is no address of a coordinator.`, {
          next: "write it as https://salt.example.org",
        });
      }
      const token = options.token === "-" ? await readLine(cli) : (options.token as string | undefined);
      const { current, contexts } = await readContexts(cli.env);
      const added = { url, ...(token === undefined ? {} : { token }) };
      await writeContexts(cli.env, { current: current ?? name, contexts: { ...contexts, [name]: added } });
      note(cli, `Saved ${name} in ${contextsFile(cli.env)}`);
      return 0;
    });
}

async function readLine(cli: Cli): Promise<string> {
  let text = "";
  for await (const chunk of cli.stdin) text += String(chunk);
  return text.trim();
}

function assertKnown(name: string, contexts: object): void {
  if (Object.hasOwn(contexts, name)) return;
  throw new SaltError("NotFound", `There is no context '${name}'.${didYouMean(name, Object.keys(contexts))}`, {
    next: "salt context list",
  });
}
