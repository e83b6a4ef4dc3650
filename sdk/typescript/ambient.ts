import { AsyncLocalStorage } from "node:async_hooks";
import { WrongPlace } from "./failures/errors.ts";
import type { TaskContext } from "./task/task-context.ts";
import type { WorkflowExecution } from "./workflow/workflow-execution.ts";

/**
 * Which work the running code belongs to: one process hosts many workflow works at once, and what users call (`sleep`,
 * a task) names none.
 */
export type Ambient =
  | { readonly kind: "workflow"; readonly execution: WorkflowExecution; readonly shielded: boolean }
  | { readonly kind: "task"; readonly context: TaskContext; readonly argsId: string };

const storage = new AsyncLocalStorage<Ambient>();

export const runWithin = <T>(ambient: Ambient, fn: () => T): T => storage.run(ambient, fn);

export const currentAmbient = (): Ambient | undefined => storage.getStore();

export function currentWorkflow(what: string): { readonly execution: WorkflowExecution; readonly shielded: boolean } {
  const ambient = storage.getStore();
  if (ambient?.kind === "workflow") return ambient;
  const where = ambient === undefined ? "outside of one" : "in a task";
  throw new WrongPlace(`Cannot use ${what} ${where}: it is for the code of a workflow.`);
}

export function currentTask(what: string): TaskContext {
  const ambient = storage.getStore();
  if (ambient?.kind === "task") return ambient.context;
  const where = ambient === undefined ? "outside of one" : "in a workflow";
  throw new WrongPlace(`Cannot use ${what} ${where}: it is for the code of a task.`);
}
