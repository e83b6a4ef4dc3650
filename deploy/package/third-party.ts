import { readdir, readFile } from "node:fs/promises";
import path from "node:path";

/** The packages that some sources belong to, each with its licence. Sources are named relative to the clone. */
export async function thirdPartyText(clone: string, sources: readonly string[], where: string): Promise<string> {
  const introduction = `# Third-party software\n\nParts of these packages are in ${where}.\n`;
  const folders = new Set(sources.map(packageFolder).filter((folder) => folder !== null));
  const sections = await Promise.all([...folders].sort().map((folder) => section(path.join(clone, folder))));
  return [introduction, ...sections].join("\n");
}

/** The folder of the package that a file belongs to; null for one of ours. */
function packageFolder(source: string): string | null {
  return /^(.*\bnode_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(source)?.[1] ?? null;
}

async function section(folder: string): Promise<string> {
  const text = await readFile(path.join(folder, "package.json"), "utf8");
  const { name, version, license } = JSON.parse(text) as { name: string; version: string; license: string };
  const file = (await readdir(folder)).sort().find((one) => /^licen[cs]e/i.test(one));
  const words = file === undefined ? "" : (await readFile(path.join(folder, file), "utf8")).trim();
  return `## ${name} ${version}\n\nLicence: ${license}\n${words === "" ? "" : `\n\`\`\`text\n${words}\n\`\`\`\n`}`;
}
