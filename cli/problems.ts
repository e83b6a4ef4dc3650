import { SaltError } from "#shared/domain/errors.ts";

/** Something wrong at a place in the user's project. Line and column count from 1. */
export interface Problem {
  /** Relative to the project's folder, with `/`. */
  readonly file: string;
  readonly line: number | null;
  readonly column: number | null;
  readonly text: string;
  /** The line itself, when it is worth showing. */
  readonly source?: string;
  /** What to do about it. */
  readonly next?: string;
}

const problemsShownMax = 20;

/** One error for all the problems of one step; `BuildFailed` unless it is the project file that is at fault. */
export function problemsError(
  attempted: string,
  problems: readonly Problem[],
  code: "BuildFailed" | "InvalidProject" = "BuildFailed",
): SaltError {
  const shown = problems.slice(0, problemsShownMax).map(problemText);
  const more = problems.length > shown.length ? [`… and ${problems.length - shown.length} more`] : [];
  const next = problems.find((problem) => problem.next !== undefined)?.next;
  return new SaltError(code, [`${attempted}:`, ...shown, ...more].join("\n"), {
    ...(next === undefined ? {} : { next }),
    details: { problems: problems.slice(0, 100) },
  });
}

function problemText(problem: Problem): string {
  const place = [problem.file, problem.line, problem.column].filter((part) => part !== null).join(":");
  const lines = [`${place}: ${problem.text}`];
  if (problem.source !== undefined) lines.push(...excerpt(problem.source, problem.line ?? 1, problem.column ?? 1));
  return lines.map((line) => `  ${line}`).join("\n");
}

const excerptCharsMax = 160;

/** The line with its number and, below it, a caret at the column. Tabs become spaces, so that the caret stands right. */
function excerpt(source: string, line: number, column: number): string[] {
  const text = source.replaceAll("\t", " ").slice(0, excerptCharsMax);
  const gutter = `${line} | `;
  return [gutter + text, `${" ".repeat(gutter.length + Math.min(column - 1, text.length))}^`];
}
