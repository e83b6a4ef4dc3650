import { readdirSync, readFileSync } from "node:fs";
import { type Language, readResults } from "./results.ts";

export interface Feature {
  readonly level: "must" | "should" | "may";
  readonly name: string;
  readonly values?: true;
  readonly transcript?: string;
  readonly tests?: Readonly<Record<Language, string | null>>;
}

const here = (name: string) => new URL(name, import.meta.url);
const readJson = (name: string): unknown => JSON.parse(readFileSync(here(name), "utf8"));

export const readFeatures = (): readonly Feature[] =>
  (readJson("features.json") as { features: readonly Feature[] }).features;

/** Every case of the transcripts, as `<file>: <rule> <name>`. */
export function transcriptCases(): string[] {
  return readdirSync(here("transcripts"))
    .sort()
    .flatMap((file) => {
      const { cases } = readJson(`transcripts/${file}`) as { cases: readonly { rule: string; name: string }[] };
      return cases.map(({ rule, name }) => `${file.replace(".json", "")}: ${rule} ${name}`);
    });
}

/** Every golden vector, as `<list>: <name>`. */
export function valueCases(): string[] {
  const vectors = readJson("values.json") as Record<string, readonly { name: string }[]>;
  return ["values", "decodes", "refused"].flatMap((list) =>
    (vectors[list] ?? []).map(({ name }) => `${list}: ${name}`),
  );
}

const head = `# What each SDK has

Made of the results of both runners by \`npm run conformance\`; a test fails when it is stale. **must**: without it a program
is no Salt program; **should**: people expect it; **may**: what one language makes easy. Numbers are cases of
[sdk/conformance](../sdk/conformance/README.md) that pass, of those that there are; Python counts a case when its sync and its
async workflow pass it. A ✓ stands for a test of the SDK's own, named in \`sdk/conformance/features.json\`.

| What | | TypeScript | Python |
|---|---|---|---|
`;

/** The text of docs/sdk-conformance.md. */
export function makeTable(): string {
  const rows = readFeatures().map((feature) => {
    const cells = (["typescript", "python"] as const).map((language) => cellOf(feature, language));
    return `| ${feature.name} | ${feature.level} | ${cells.join(" | ")} |`;
  });
  return `${head}${rows.join("\n")}\n`;
}

function cellOf(feature: Feature, language: Language): string {
  if (feature.tests !== undefined) return feature.tests[language] === null ? "–" : "✓";
  const isOfFeature = (name: string) => feature.values === true || name.startsWith(`${feature.transcript}: `);
  const all = (feature.values === true ? valueCases() : transcriptCases()).filter(isOfFeature);
  const passed = new Set(readResults(language, feature.values === true ? "values" : "transcripts"));
  return `${all.filter((name) => passed.has(name)).length} of ${all.length}`;
}
