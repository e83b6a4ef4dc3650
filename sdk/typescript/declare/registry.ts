import type { z } from "zod";
import { SaltError } from "#shared/domain/errors.ts";
import type { TaskOptions } from "#shared/protocol/common.ts";
import type { TaskContext } from "../task/task-context.ts";
import type { CheckFunction } from "./check.ts";

/** A task type as declared, with its types forgotten. */
export interface TaskDefinition {
  readonly name: string;
  readonly description: string | undefined;
  readonly input: z.ZodType | undefined;
  readonly output: z.ZodType | undefined;
  readonly checks: readonly { readonly name: string; readonly check: CheckFunction<unknown, unknown> }[];
  readonly options: TaskOptions;
  readonly fn: (input: unknown, context: TaskContext) => unknown;
}

export interface WorkflowDefinition {
  readonly name: string;
  readonly description: string | undefined;
  readonly input: z.ZodType | undefined;
  readonly output: z.ZodType | undefined;
  readonly options: {
    readonly runTimeoutMs?: number;
    readonly isolate?: boolean;
    readonly pool?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly fn: (input: unknown) => unknown;
}

/** What a project has declared. */
export interface Registry {
  readonly tasks: ReadonlyMap<string, TaskDefinition>;
  readonly workflows: ReadonlyMap<string, WorkflowDefinition>;
}

const tasks = new Map<string, TaskDefinition>();
const workflows = new Map<string, WorkflowDefinition>();

/** Everything declared in this process: a declaration registers itself. */
export const declared: Registry = { tasks, workflows };

const namePattern = /^[A-Za-z][A-Za-z0-9_.-]{0,99}$/;

function assertNewName(what: string, name: string): void {
  if (typeof name !== "string" || !namePattern.test(name)) {
    throw new SaltError("InvalidProject", `Cannot declare ${what} ${JSON.stringify(name)}: the name is not valid.`, {
      next: "Begin with a letter and use at most 100 letters, digits, '_', '.' and '-'.",
    });
  }
  if (!tasks.has(name) && !workflows.has(name)) return;
  throw new SaltError("InvalidProject", `Cannot declare ${what} '${name}': the name is already declared.`, {
    next: "Task types and workflows of a project share one set of names: rename one of the two.",
  });
}

export function registerTask(definition: TaskDefinition): void {
  assertNewName("task type", definition.name);
  tasks.set(definition.name, definition);
}

export function registerWorkflow(definition: WorkflowDefinition): void {
  assertNewName("workflow", definition.name);
  workflows.set(definition.name, definition);
}
