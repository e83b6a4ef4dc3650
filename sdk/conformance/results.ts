import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

export type Language = "typescript" | "python";
export type Kind = "transcripts" | "values";

const folder = new URL("./results/", import.meta.url);

/**
 * The cases that a language's runner has seen pass, as they were written down. With SALT_WRITE_CONFORMANCE=1 runners write
 * down what passes; otherwise they compare with it, so that the table in docs/sdk-conformance.md is never of another time.
 */
export function readResults(language: Language, kind: Kind): string[] {
  return JSON.parse(readFileSync(new URL(`${language}.${kind}.json`, folder), "utf8")) as string[];
}

/** What was written down before, or now. */
export function recordResults(language: Language, kind: Kind, passed: readonly string[]): string[] {
  if (process.env.SALT_WRITE_CONFORMANCE !== "1") return readResults(language, kind);
  mkdirSync(folder, { recursive: true });
  writeFileSync(new URL(`${language}.${kind}.json`, folder), `${JSON.stringify(passed, null, 2)}\n`);
  return [...passed];
}
