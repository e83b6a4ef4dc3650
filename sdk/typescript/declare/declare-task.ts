import type { z } from "zod";
import type { TaskOptions } from "#shared/protocol/common.ts";
import { currentWorkflow } from "../ambient.ts";
import type { TaskContext } from "../task/task-context.ts";
import type { CallParameters, Ref } from "./argument.ts";
import type { CheckFunction } from "./check.ts";
import { registerTask, type TaskDefinition } from "./registry.ts";

/** How a task type is declared: its options, and `checks` on its output, by name. */
export interface TaskDeclaration<Parsed, In, Out, Returned> extends TaskOptions {
  /** Unique in the project. A letter, then letters, digits, `_`, `.` and `-`. */
  readonly name: string;
  readonly description?: string;
  /** What the function is given is the schema's output; callers pass its input. Default: anything. */
  readonly input?: z.ZodType<Parsed, In>;
  /** What the function returns is parsed by it; the task's output is the schema's output. Default: anything. */
  readonly output?: z.ZodType<Out, Returned>;
  readonly checks?: Readonly<Record<string, CheckFunction<NoInfer<Out>, NoInfer<Parsed>>>>;
}

/** What a single call may say: its own key, and whatever it overrides of the task type's options. */
export interface TaskCallOptions extends TaskOptions {
  /** The call's key in the run, in place of `<name>#<n>`. Printable, without `/`, not beginning with `@`. */
  readonly key?: string;
  /** The task goes on when the workflow returns without it. Default false: then it is cancelled. */
  readonly detached?: boolean;
}

/** A task type. Calling it in a workflow publishes a task at once and returns the ref of its output. */
export interface Task<In, Out, Parsed = In> {
  (...parameters: CallParameters<In, TaskCallOptions>): Ref<Out>;
  readonly taskName: string;
  /** The function itself, for unit tests: no schema, check or retry comes into it. */
  readonly fn: (input: Parsed, context: TaskContext) => unknown;
}

/**
 * Declares a task type: a function that an agent executes, as often as it takes to succeed once. Throws SaltError
 * `InvalidProject` when the name is not valid or already declared.
 */
export function task<Parsed, Out, Returned, In = Parsed>(
  declaration: TaskDeclaration<Parsed, In, Out, Returned> & { readonly output: z.ZodType<Out, Returned> },
  fn: Body<Parsed, NoInfer<Returned>>,
): Task<In, Out, Parsed>;
export function task<Parsed, Out, In = Parsed>(
  declaration: TaskDeclaration<Parsed, In, Out, Out> & { readonly output?: undefined },
  fn: (input: Parsed, context: TaskContext) => Out | Promise<Out>,
): Task<In, Out, Parsed>;
export function task(
  declaration: TaskDeclaration<unknown, unknown, unknown, unknown>,
  fn: (input: unknown, context: TaskContext) => unknown,
): Task<unknown, unknown> {
  const { name, description, input, output, checks, ...options } = declaration;
  const definition: TaskDefinition = {
    name,
    description,
    input,
    output,
    options,
    fn,
    checks: Object.entries(checks ?? {}).map(([checkName, run]) => ({ name: checkName, check: run })),
  };
  registerTask(definition);
  const call = (argument?: unknown, callOptions: TaskCallOptions = {}): Ref<unknown> => {
    const { execution, shielded } = currentWorkflow(`task '${name}'`);
    return execution.callTask(name, argument, { ...callOptions, shielded });
  };
  return Object.assign(call, { taskName: name, fn });
}

/** Both branches are one: a conditional type lets literals in what is returned keep their types (`status: "paid"`). */
type Body<In, T> = [T] extends [never] ? Returns<In, T> : Returns<In, T>;
type Returns<In, T> = (input: In, context: TaskContext) => T | Promise<T>;
