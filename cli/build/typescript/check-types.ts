import { access, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import { findPackage } from "../../installation.ts";
import { type Problem, problemsError } from "../../problems.ts";
import { runProcess } from "../../run-process.ts";
import type { Project } from "../read-project.ts";

const checkTimeoutMs = 5 * 60_000;

/** What a project without a tsconfig.json is checked with. */
export const defaultCompilerOptions = {
  target: "es2024",
  module: "nodenext",
  moduleResolution: "nodenext",
  types: ["node"],
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  allowImportingTsExtensions: true,
  erasableSyntaxOnly: false,
  resolveJsonModule: true,
};

/**
 * Checks the project's types by its own tsconfig.json, or by a strict default one. Only what is wrong in the project's
 * own files counts. `BuildFailed` with file, line and column of each error.
 */
export async function checkTypes(project: Project): Promise<void> {
  const config = await findConfig(project);
  const tsc = path.join(findPackage("typescript"), "bin", "tsc");
  const command = [process.execPath, tsc, "--project", config, "--noEmit", "--pretty", "false"];
  const end = await runProcess(command, { cwd: project.folder, timeoutMs: checkTimeoutMs });
  if (end.status === 0) return;
  if (end.timedOut) {
    throw new SaltError("BuildFailed", `Cannot check types: tsc took longer than ${checkTimeoutMs / 60_000} minutes.`);
  }
  const found = parseDiagnostics(end.stdout);
  const problems = await Promise.all(found.filter(isOwn).map((problem) => withSource(project, problem)));
  if (problems.length > 0) throw problemsError("Type errors", problems);
  if (found.length === 0) {
    throw new SaltError(
      "BuildFailed",
      `Cannot check types: ${(end.stderr || end.stdout).trim() || "tsc gave no reason"}`,
    );
  }
}

async function findConfig(project: Project): Promise<string> {
  const own = path.join(project.folder, "tsconfig.json");
  try {
    await access(own);
    return own;
  } catch {
    const config = path.join(project.folder, ".salt", "cache", "tsconfig.json");
    await mkdir(path.dirname(config), { recursive: true });
    const include = [`../../${path.posix.dirname(project.entry.replaceAll("\\", "/"))}`];
    await writeFile(config, JSON.stringify({ compilerOptions: defaultCompilerOptions, include }, null, 2));
    return config;
  }
}

/** Errors of the configuration itself have no file. */
const isOwn = (problem: Problem): boolean =>
  problem.file === "tsconfig.json" ||
  !(problem.file.startsWith("../") || problem.file.includes("node_modules/") || path.isAbsolute(problem.file));

/** `src/main.ts(3,7): error TS2322: …`, or `error TS5107: …`; indented lines go on with the one before. */
export function parseDiagnostics(text: string): Problem[] {
  const problems: Problem[] = [];
  for (const line of text.split(/\r?\n/)) {
    const placed = /^(.+?)\((\d+),(\d+)\): error (TS\d+: .*)$/.exec(line);
    const general = /^error (TS\d+: .*)$/.exec(line);
    const last = problems.at(-1);
    if (placed) {
      const [, file = "", row = "1", column = "1", what = ""] = placed;
      problems.push({ file: file.replaceAll("\\", "/"), line: Number(row), column: Number(column), text: what });
    } else if (general) {
      problems.push({ file: "tsconfig.json", line: null, column: null, text: general[1] ?? "" });
    } else if (last && line.startsWith("  ")) {
      problems[problems.length - 1] = { ...last, text: `${last.text}\n    ${line.trim()}` };
    }
  }
  return problems;
}

async function withSource(project: Project, problem: Problem): Promise<Problem> {
  if (problem.line === null) return problem;
  try {
    const text = await readFile(path.join(project.folder, problem.file), "utf8");
    const source = text.split(/\r?\n/)[problem.line - 1];
    return source === undefined ? problem : { ...problem, source };
  } catch {
    return problem;
  }
}
