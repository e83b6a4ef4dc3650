import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { saltFolder } from "./salt-process.ts";

export interface Source {
  /** Relative to the checkout, with `/`. */
  readonly file: string;
  readonly text: string;
}

/** The checkout's files: those that git knows, and new ones that it does not ignore. */
export function listFiles(): string[] {
  const args = ["ls-files", "--cached", "--others", "--exclude-standard"];
  const listed = execFileSync("git", args, { cwd: saltFolder, encoding: "utf8", maxBuffer: 16 * 1024 * 1024 });
  return [...new Set(listed.split("\n"))].filter((file) => file !== "").sort();
}

/** A file as it is; null when it was deleted and git has not been told. */
export function readSource(file: string): Source | null {
  try {
    return { file, text: readFileSync(path.join(saltFolder, file), "utf8") };
  } catch {
    return null;
  }
}

export const readSources = (files: readonly string[]): Source[] =>
  files.map(readSource).filter((source): source is Source => source !== null);

/** What stands beside the code that ships: tests, contract suites, and what they stand on. */
export const isTest = (file: string): boolean =>
  /\.test\.ts$|(^|\/)(tests|fakes|testing|contract|conformance)\/|\/contract\.ts$|-stand\.ts$|(^|\/)(history|manual-clock)\.ts$/.test(
    file,
  );

/** Code without its comments, so that words in them do not count. Good enough for looking, not for parsing. */
export const withoutComments = (text: string): string =>
  text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/(^|\s)\/\/.*$/gm, "$1");
