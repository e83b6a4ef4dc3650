import type { z } from "zod";
import { currentAmbient, currentTask, currentWorkflow, runWithin } from "../ambient.ts";
import type { Ref } from "../declare/argument.ts";
import type { TaskCallOptions } from "../declare/declare-task.ts";
import { complaintsText, parse } from "../declare/parse.ts";
import { ValidationError } from "../failures/errors.ts";
import { assertMilliseconds, assertName, assertQualifiedName } from "./check-call.ts";

export interface ForeignCallOptions<Out> extends TaskCallOptions {
  /** What is called: a task type (default) or a workflow, which becomes a child run. */
  readonly kind?: "task" | "workflow";
  /** The output is parsed by it when awaited, and has its type. */
  readonly output?: z.ZodType<Out>;
}

/**
 * Calls a task type or workflow by name, such as `call("fraud/score", { id })` for one of another registered project,
 * perhaps in another language.
 */
export function call<Out = unknown>(name: string, input?: unknown, options: ForeignCallOptions<Out> = {}): Ref<Out> {
  assertQualifiedName(name);
  const { execution, shielded } = currentWorkflow(`call("${name}")`);
  const { kind = "task", output, ...rest } = options;
  const accept = acceptor(`'${name}'`, output);
  const ref =
    kind === "task"
      ? execution.callTask(name, input, { ...rest, shielded, accept })
      : execution.callWorkflow(name, input, { ...rest, shielded, accept });
  return ref as Ref<Out>;
}

function acceptor(what: string, schema: z.ZodType | undefined): (value: unknown) => unknown {
  if (schema === undefined) return (value) => value;
  const read = (result: Awaited<ReturnType<typeof parse>>): unknown => {
    if (result.ok) return result.value;
    throw new ValidationError(
      `The value of ${what} is not valid: ${complaintsText(result.complaints)}`,
      result.complaints,
      false,
    );
  };
  return (value) => {
    const result = parse(schema, value);
    return result instanceof Promise ? result.then(read) : read(result);
  };
}

/** A durable pause of `ms` milliseconds, at least 0: the run may be parked, and need no process, meanwhile. */
export function sleep(ms: number, options: { readonly key?: string } = {}): Ref<void> {
  assertMilliseconds("sleep", ms);
  const { execution, shielded } = currentWorkflow("sleep");
  return execution.callWait({ kind: "sleep", forMs: Math.max(0, ms) }, { key: options.key, shielded }) as Ref<void>;
}

/** A durable pause until a time: a Date, or milliseconds since the Unix epoch. One that is past ends at once. */
export function sleepUntil(time: Date | number, options: { readonly key?: string } = {}): Ref<void> {
  const untilMs = typeof time === "number" ? time : time.getTime();
  assertMilliseconds("sleep until that time", untilMs);
  const { execution, shielded } = currentWorkflow("sleepUntil");
  return execution.callWait({ kind: "sleep", untilMs }, { key: options.key, shielded }) as Ref<void>;
}

export interface WaitOptions<T> {
  readonly key?: string;
  /** Awaiting throws TimedOut after so many milliseconds. Default: it waits for ever. */
  readonly timeoutMs?: number;
  /** The value is parsed by it; awaiting throws ValidationError when it does not fit. */
  readonly schema?: z.ZodType<T>;
}

/** The next signal of that name sent to this run: the n-th wait takes the n-th signal, also one that came before. */
export function waitForSignal<T = unknown>(name: string, options: WaitOptions<T> = {}): Ref<T> {
  assertName("signal", name);
  const { execution, shielded } = currentWorkflow("waitForSignal");
  const { key, timeoutMs, schema } = options;
  if (timeoutMs !== undefined) assertMilliseconds(`wait for signal '${name}'`, timeoutMs);
  const body = {
    kind: "signal",
    name,
    ...(timeoutMs === undefined ? {} : { timeoutMs: Math.max(0, timeoutMs) }),
  } as const;
  return execution.callWait(body, { key, shielded, accept: acceptor(`signal '${name}'`, schema) }) as Ref<T>;
}

export interface EventOptions<T> extends WaitOptions<T> {
  /** Fields of the event's value that must equal these, by JSON pointer: `{ "/order/id": 7 }`. */
  readonly match?: Readonly<Record<string, string | number | boolean | null>>;
}

/** The first event of that name, of this project, sent after the call. */
export function waitForEvent<T = unknown>(name: string, options: EventOptions<T> = {}): Ref<T> {
  assertName("event", name);
  const { execution, shielded } = currentWorkflow("waitForEvent");
  const { key, timeoutMs, schema, match } = options;
  if (timeoutMs !== undefined) assertMilliseconds(`wait for event '${name}'`, timeoutMs);
  const body = {
    kind: "event",
    name,
    ...(match === undefined ? {} : { match }),
    ...(timeoutMs === undefined ? {} : { timeoutMs: Math.max(0, timeoutMs) }),
  } as const;
  return execution.callWait(body, { key, shielded, accept: acceptor(`event '${name}'`, schema) }) as Ref<T>;
}

/** The workflow's time: that of the last thing that happened to it. The same on every replay. */
export const now = (): Date => new Date(currentWorkflow("now").execution.nowMs());

/** A random number in [0, 1). The same on every replay. */
export const random = (): number => currentWorkflow("random").execution.random();

/** A random UUID (version 4). The same on every replay. */
export const uuid = (): string => currentWorkflow("uuid").execution.uuid();

/**
 * Ends the workflow, and goes on as a new run of it with this input and an empty journal: for loops without end. Signals
 * that nobody has waited for move over. Never returns; `finally` blocks are run.
 */
export const restart = (input?: unknown): never => currentWorkflow("restart").execution.restart(input);

/**
 * Runs `fn` such that its calls may go on after the run is cancelled, for at most the cancel grace (30 s): the place for
 * compensation. Awaiting what was called outside of it still throws CancelledError.
 */
export function shielded<T>(fn: () => Promise<T>): Promise<T> {
  const { execution } = currentWorkflow("shielded");
  return runWithin({ kind: "workflow", execution, shielded: true }, fn);
}

/** Shows how far the current task is: a fraction from 0 to 1, a message, or both. */
export function progress(fraction: number, message?: string): void;
export function progress(message: string): void;
export function progress(first: number | string, message?: string): void {
  const context = currentTask("progress");
  if (typeof first === "string") context.progress(first);
  else context.progress(first, message);
}

/** Sends a value out of the current task before it ends. */
export const emit = (name: string, value: unknown, options?: { readonly key?: string }): void =>
  currentTask("emit").emit(name, value, options);

/** Makes a file of the current task's folder part of its output. */
export const file = (path: string, options?: { readonly name?: string; readonly mediaType?: string }) =>
  currentTask("file").file(path, options);

/** Whether the code runs in a workflow, in a task, or in neither. */
export const currentKind = (): "workflow" | "task" | null => currentAmbient()?.kind ?? null;
