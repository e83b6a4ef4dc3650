import { Cron } from "croner";
import type { Description } from "#shared/protocol/manifest.ts";
import { didYouMean } from "../nearest.ts";
import { type Problem, problemsError } from "../problems.ts";
import { problemInProject } from "./project-problems.ts";
import type { Project } from "./read-project.ts";

/** Checks the triggers of salt.yaml against the program. `InvalidProject` with line and column. */
export function checkTriggers(project: Project, description: Description): void {
  const workflows = description.workflows.map((workflow) => workflow.name);
  const names = new Set<string>();
  const problems: Problem[] = [];
  project.triggers.forEach((trigger, index) => {
    const wrong = (key: string, text: string) =>
      problems.push(problemInProject(project.source, ["triggers", index, key], text));
    if (names.has(trigger.name)) wrong("name", `a trigger named '${trigger.name}' is declared above.`);
    names.add(trigger.name);
    if (!workflows.includes(trigger.workflow)) {
      const known = workflows.length === 0 ? "The program has none." : `The program has ${workflows.join(", ")}.`;
      wrong("workflow", `no workflow '${trigger.workflow}'.${didYouMean(trigger.workflow, workflows)} ${known}`);
    }
    if (trigger.kind !== "cron") return;
    if (!isTimezone(trigger.timezone)) {
      wrong("timezone", `'${trigger.timezone}' is no time zone. Name one as in Europe/Berlin or UTC.`);
    } else {
      const why = cronProblem(trigger.cron);
      if (why !== null) wrong("cron", why);
    }
  });
  if (problems.length > 0) throw problemsError("Cannot use the triggers of salt.yaml", problems, "InvalidProject");
}

function cronProblem(expression: string): string | null {
  try {
    return new Cron(expression, { paused: true }).nextRun() === null ? `'${expression}' never comes.` : null;
  } catch (error) {
    return `'${expression}' is no cron expression: ${(error as Error).message}`;
  }
}

function isTimezone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
