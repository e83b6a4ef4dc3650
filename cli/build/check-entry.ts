import { stat } from "node:fs/promises";
import path from "node:path";
import { problemsError } from "../problems.ts";
import { problemInProject } from "./project-problems.ts";
import { type Project, projectFileName } from "./read-project.ts";

/** `BuildFailed` when the entry is no file of the project's folder. */
export async function checkEntry(project: Project): Promise<void> {
  const file = path.resolve(project.folder, project.entry);
  const within = !path.relative(project.folder, file).startsWith("..");
  const found = within ? await stat(file).catch(() => null) : null;
  if (found?.isFile()) return;
  const text = !within ? "is outside the project's folder" : found ? "is not a file" : "does not exist";
  const problem = problemInProject(project.source, ["entry"], `the entry ${project.entry} ${text}`);
  const write = within && found === null ? `write ${project.entry}, or ` : "";
  const next = `${write}name the right file as 'entry' in ${projectFileName}`;
  throw problemsError("Cannot build", [{ ...problem, next }]);
}
