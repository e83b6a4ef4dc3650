/**
 * `npm run protocol`: writes what is made from the protocol's zod schemas and lies in the repository, so that whoever has no
 * TypeScript has it too. `deploy/protocol/protocol.test.ts` fails where it is stale.
 */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { serverCode } from "#cli/generate/server-code.ts";
import { type Tree, writeTree } from "#cli/generate/write-tree.ts";
import { schemaFiles } from "#shared/protocol/schema-files.ts";

const clone = path.resolve(import.meta.dirname, "../..");

/** Below this folder: the published schemas. */
export const schemasFolder = path.join(clone, "shared", "protocol", "schemas");

/** Pages with a table of frames below a heading, by the file of schemas that has these frames. */
const pages = [
  { page: "docs/agent-protocol.md", heading: "## From the agent", file: "agent/from_agent" },
  { page: "docs/agent-protocol.md", heading: "## From the coordinator", file: "agent/from_coordinator" },
  { page: "docs/task-protocol.md", heading: "## From the program", file: "task/from_program" },
  { page: "docs/task-protocol.md", heading: "## From the agent", file: "task/from_agent" },
] as const;

/** What each frame says, as the pages have it, by `<file>#<type>`. */
async function describeFrames(): Promise<Record<string, string>> {
  const about: Record<string, string> = {};
  for (const { page, heading, file } of pages) {
    const text = await readFile(path.join(clone, page), "utf8");
    const [, below = ""] = text.split(`\n${heading}\n`);
    const [table = ""] = below.split("\n## ");
    for (const [, frame = "", words = ""] of table.matchAll(/^\| `(\w+)` \| (.+?) \|$/gm)) {
      about[`${file}#${frame[0]?.toUpperCase()}${frame.slice(1)}`] = words.endsWith(".") ? words : `${words}.`;
    }
  }
  return about;
}

/** The schemas as files. */
export async function schemasTree(): Promise<Tree> {
  const schemas = schemaFiles(await describeFrames());
  return Object.fromEntries(
    Object.entries(schemas).map(([file, schema]) => [file, `${JSON.stringify(schema, null, 2)}\n`]),
  );
}

/** Below this folder: the messages of the Python SDK. The TypeScript SDK has its own from the zod schemas themselves. */
export const pythonMessagesFolder = path.join(clone, "sdk", "python", "src", "salt", "_messages");

/** What `salt generate-server-code` makes of the schemas that a program meets. */
export async function pythonMessages(): Promise<Tree> {
  const met = Object.entries(await schemasTree()).filter(([file]) => /^(common|task|values)\//.test(file));
  return serverCode(
    met.map(([file, text]) => ({ file, schema: JSON.parse(text) })),
    "python",
  );
}

if (import.meta.main) {
  await writeTree(schemasFolder, await schemasTree());
  await writeTree(pythonMessagesFolder, await pythonMessages());
}
