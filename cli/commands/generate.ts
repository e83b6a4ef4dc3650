import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import { type Manifest, manifestSchema } from "#shared/protocol/manifest.ts";
import { type Cli, note } from "../cli.ts";
import { type CommandOptions, clientOf, type SaltCommand } from "../command.ts";
import { languages, parseLanguage } from "../generate/languages.ts";
import { readJson } from "../generate/read-schemas.ts";
import { printStubs } from "../generate/stubs.ts";
import { writeGenerated } from "../generate/write-tree.ts";
import { listRows } from "../list-rows.ts";
import { didYouMean } from "../nearest.ts";

const releasesLookedAt = 500;

export function addGenerate(root: SaltCommand, cli: Cli): void {
  root
    .command("generate")
    .summary("make typed functions that call another project's tasks and workflows")
    .description(
      "Makes a module of typed functions from a registered project's manifest: one for each of its task types and " +
        "workflows, by which another project's workflow calls it.",
    )
    .argument("[project]", "the project, or project@release; default: its current release")
    .option("-l, --language <language>", languages.join(" or "))
    .option("-o, --out <path>", "the file that is to hold them; what salt did not generate is not overwritten", "-")
    .option(
      "--from <manifest.json>",
      "a manifest that salt build wrote, in place of a registered project: no coordinator",
    )
    .withCoordinator()
    .examples(
      ["salt generate fraud --language typescript --out src/fraud.ts", "import { score } from './fraud.ts'"],
      ["salt generate fraud@rel_01k --language python --out fraud.py", "of one release, by the beginning of its id"],
      ["salt generate --from ../fraud/dist/manifest.json --language python", "from what was built, to stdout"],
    )
    .run(cli, async ([project], options) => {
      if (options.language === undefined) {
        throw new SaltError("BadRequest", "No language is given.", {
          next: `add --language ${languages.join(" or ")}`,
        });
      }
      const language = parseLanguage(String(options.language));
      const { manifest, release } = await readManifest(cli, project, options);
      const text = printStubs(manifest, release, language);
      if (options.out === "-") {
        cli.stdout.write(text);
        return 0;
      }
      const file = path.resolve(cli.cwd, String(options.out));
      await writeGenerated(file, text);
      const { tasks, workflows } = manifest.description;
      note(
        cli,
        `Made ${options.out}: ${tasks.length} task types and ${workflows.length} workflows of '${manifest.project}'`,
      );
      return 0;
    });
}

interface Source {
  readonly manifest: Manifest;
  /** Null when it is not registered. */
  readonly release: string | null;
}

async function readManifest(cli: Cli, project: string | undefined, options: CommandOptions): Promise<Source> {
  const from = options.from === undefined ? undefined : String(options.from);
  if ((from === undefined) === (project === undefined)) {
    throw new SaltError(
      "BadRequest",
      `${from === undefined ? "Neither" : "Both"} a project and a manifest are given.`,
      {
        next: "name a registered project, or a file with --from <manifest.json>",
      },
    );
  }
  if (from !== undefined) return { manifest: await manifestOf(path.resolve(cli.cwd, from), from), release: null };
  const [name = "", release] = (project ?? "").split("@");
  return await registered(cli, options, { name, release });
}

async function manifestOf(file: string, label: string): Promise<Manifest> {
  const parsed = manifestSchema.safeParse(await readJson(file, label));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new SaltError("InvalidInput", `${label} is no manifest: ${issue?.path.join(".")}: ${issue?.message}.`, {
    next: "give the manifest.json that salt build writes into dist/",
  });
}

async function registered(
  cli: Cli,
  options: CommandOptions,
  wanted: { readonly name: string; readonly release: string | undefined },
): Promise<Source> {
  const client = await clientOf(cli, options);
  const query = { project: wanted.name };
  const rows = await listRows(client, "listReleases", { query, limit: releasesLookedAt });
  if (rows.length === 0) {
    const all = await listRows(client, "listReleases", { limit: releasesLookedAt });
    const nearest = didYouMean(wanted.name, new Set(all.map((row) => row.project)));
    throw new SaltError("NotFound", `No project '${wanted.name}' is registered.${nearest}`, {
      next: "salt workflows list; salt register-workflow registers one",
    });
  }
  const { release } = wanted;
  const found = rows.filter((row) => (release === undefined ? row.current : row.id.startsWith(release)));
  const [row] = found;
  if (row === undefined || found.length > 1) {
    const ids = (found.length > 1 ? found : rows).slice(0, 5).map(({ id }) => id);
    throw new SaltError(
      row === undefined ? "NotFound" : "BadRequest",
      `${row === undefined ? "No release" : "More than one release"} of '${wanted.name}' begins with '${release ?? ""}'.`,
      { next: `name one of ${ids.join(", ")}` },
    );
  }
  return { manifest: (await client.call("getRelease", { params: { release: row.id } })).manifest, release: row.id };
}
