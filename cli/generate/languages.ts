import { usageProblem } from "../usage.ts";

/** What code can be generated for. */
export const languages = ["python", "typescript"] as const;
export type Language = (typeof languages)[number];

/** The language that a flag names. Throws SaltError `BadRequest`. */
export function parseLanguage(word: string): Language {
  const language = languages.find((one) => one === word);
  if (language !== undefined) return language;
  throw usageProblem(`There is no code for '${word}'.`, word, languages);
}
