import type { z } from "zod";
import { currentWorkflow } from "../ambient.ts";
import type { Argument, CallParameters, Ref } from "./argument.ts";
import { registerWorkflow, type WorkflowDefinition } from "./registry.ts";

type Options = WorkflowDefinition["options"];

export interface WorkflowDeclaration<Parsed, In, Out, Returned> extends Options {
  /** Unique in the project. A letter, then letters, digits, `_`, `.` and `-`. */
  readonly name: string;
  readonly description?: string;
  readonly input?: z.ZodType<Parsed, In>;
  readonly output?: z.ZodType<Out, Returned>;
}

export interface WorkflowCallOptions {
  /** The call's key in the run, in place of `<name>#<n>`. Printable, without `/`, not beginning with `@`. */
  readonly key?: string;
  /** The child run goes on when the workflow returns without it. Default false: then it is cancelled. */
  readonly detached?: boolean;
}

/** A workflow. Called in another workflow it opens a child run and returns the ref of its output. */
export interface Workflow<In, Out, Parsed = In> {
  (...parameters: CallParameters<In, WorkflowCallOptions>): Ref<Out>;
  readonly workflowName: string;
  readonly fn: (input: Parsed) => unknown;
}

/**
 * Declares a workflow: plain code that calls task types. It may run many times over one journal, so all that it reads
 * from outside comes in through its input, its calls, `now`, `random` and `uuid`, and it awaits nothing but Salt's own.
 * Refs in what it returns are awaited.
 */
export function workflow<Parsed, Out, Returned, In = Parsed>(
  declaration: WorkflowDeclaration<Parsed, In, Out, Returned> & { readonly output: z.ZodType<Out, Returned> },
  fn: Body<Parsed, NoInfer<Returned>>,
): Workflow<In, Out, Parsed>;
export function workflow<Parsed, Out, In = Parsed>(
  declaration: WorkflowDeclaration<Parsed, In, Out, Out> & { readonly output?: undefined },
  fn: (input: Parsed) => Out | Promise<Out>,
): Workflow<In, Out, Parsed>;
export function workflow(
  declaration: WorkflowDeclaration<unknown, unknown, unknown, unknown>,
  fn: (input: unknown) => unknown,
): Workflow<unknown, unknown> {
  const { name, description, input, output, ...options } = declaration;
  registerWorkflow({ name, description, input, output, options, fn });
  const call = (argument?: unknown, callOptions: WorkflowCallOptions = {}): Ref<unknown> => {
    const { execution, shielded } = currentWorkflow(`workflow '${name}'`);
    return execution.callWorkflow(name, argument, { ...callOptions, shielded });
  };
  return Object.assign(call, { workflowName: name, fn });
}

/** Both branches are one: a conditional type lets literals in what is returned keep their types (`status: "paid"`). */
type Body<In, T> = [T] extends [never] ? (input: In) => Answer<T> : (input: In) => Answer<T>;
type Answer<T> = T | PromiseLike<T> | PromiseLike<WithRefs<T>> | WithRefs<T>;
/** What a workflow may return for T: any part may be a ref, which is awaited. */
type WithRefs<T> = Argument<T>;
