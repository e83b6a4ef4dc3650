import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import { type Cli, note } from "../cli.ts";
import { collect, type SaltCommand } from "../command.ts";
import { type Language, languages, parseLanguage } from "../generate/languages.ts";
import { readSchemas } from "../generate/read-schemas.ts";
import { serverCode } from "../generate/server-code.ts";
import { type Tree, writeTree } from "../generate/write-tree.ts";
import { printJson } from "../output.ts";

export function addGenerateServerCode(root: SaltCommand, cli: Cli): void {
  root
    .command("generate-server-code")
    .summary("make typed message code from a folder of JSON Schemas")
    .description(
      "Makes types for Python and TypeScript from a folder of JSON Schemas, in packages that mirror the folder. " +
        "What it did not generate it does not overwrite.",
    )
    .argument("<protos_path>", "the folder of .json files")
    .argument("<out_path>", "the folder that is to hold the code and nothing else; made where it is absent")
    .option(
      "-l, --language <language>",
      "python or typescript, straight in <out_path>; default: both, each in a folder of its name",
      collect,
    )
    .withJson()
    .examples(
      ["salt generate-server-code protos src/messages --language python", "a Python package of TypedDicts"],
      ["salt generate-server-code protos messages", "messages/python and messages/typescript"],
      ["salt generate-server-code shared/protocol/schemas messages", "the messages of Salt's own protocols"],
    )
    .run(cli, async ([from = "", to = ""], options) => {
      const input = path.resolve(cli.cwd, from);
      const output = path.resolve(cli.cwd, to);
      refuseOverlap(input, output);
      const chosen = languagesOf(options.language as string[] | undefined);
      const sources = await readSchemas(input);
      const tree = treeOf(chosen, (language) => serverCode(sources, language));
      await writeTree(output, tree);
      if (options.json)
        printJson(cli, { out: output, languages: chosen, files: Object.keys(tree).sort() }, options.json);
      note(
        cli,
        `Made ${Object.keys(tree).length} files from ${sources.length} in ${path.relative(cli.cwd, output) || "."}`,
      );
      return 0;
    });
}

function languagesOf(given: readonly string[] = languages): Language[] {
  return [...new Set(given.map(parseLanguage))];
}

function treeOf(chosen: readonly Language[], make: (language: Language) => Tree): Tree {
  const [only] = chosen;
  if (chosen.length === 1 && only !== undefined) return make(only);
  const trees = chosen.map((language) =>
    Object.entries(make(language)).map(([file, text]) => [`${language}/${file}`, text]),
  );
  return Object.fromEntries(trees.flat());
}

/** The output takes the place of what is there: it may neither hold the input nor lie in it. */
function refuseOverlap(input: string, output: string): void {
  const within = (inner: string, outer: string) => `${inner}${path.sep}`.startsWith(`${outer}${path.sep}`);
  if (!within(output, input) && !within(input, output)) return;
  const how =
    output === input
      ? "they are the same folder"
      : `${within(output, input) ? "the output" : "the input"} lies in the other`;
  throw new SaltError("BadRequest", `Cannot generate from ${input} into ${output}: ${how}.`, {
    next: "name an output folder beside the input",
  });
}
