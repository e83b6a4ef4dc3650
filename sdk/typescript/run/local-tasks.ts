import type { Failure } from "#shared/domain/errors.ts";
import type { Clock, Random } from "#shared/ports.ts";
import type { CheckResult, Retry, TaskOptions } from "#shared/protocol/common.ts";
import type { ProgramValue, Work } from "#shared/protocol/task.ts";
import type { Registry, TaskDefinition } from "../declare/registry.ts";
import { UnknownTaskType } from "../failures/errors.ts";
import { failureOf } from "../failures/failure.ts";
import { createTaskContext, type TaskHost } from "../task/create-task-context.ts";
import { executeTask } from "../task/execute-task.ts";
import { failed, type Outcome, succeeded } from "./local-journal.ts";

export interface LocalTasksDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly registry: Registry;
  readonly host: TaskHost;
  /** A new, empty folder for one attempt. */
  newFolder(): string;
  /** One line for the person who watches. */
  say(line: string): void;
}

export interface LocalTask {
  readonly key: string;
  readonly name: string;
  readonly input: ProgramValue;
  readonly refs: Readonly<Record<string, ProgramValue>>;
  readonly options: TaskOptions;
}

/** Tasks that run at once; more wait. They share one thread, so this only bounds what waits for I/O. */
const runningMax = 16;
const defaultRetry: Retry = { attempts: 1, backoffMs: 1_000, factor: 2, backoffMaxMs: 5 * 60_000 };

export interface LocalTasks {
  /** Executes a task, retries included. Never rejects. `signal` cancels it. */
  execute(task: LocalTask, signal: AbortSignal): Promise<Outcome>;
  /** How many checks answered `warn`. */
  readonly warnings: number;
}

export function createLocalTasks(deps: LocalTasksDeps): LocalTasks {
  let running = 0;
  let warnings = 0;
  const waiting: (() => void)[] = [];
  const takeSlot = createSlots();
  const slot = async (): Promise<void> => {
    if (running >= runningMax) await new Promise<void>((resolve) => waiting.push(resolve));
    running += 1;
  };
  const free = (): void => {
    running -= 1;
    waiting.shift()?.();
  };
  const warn = (task: LocalTask, checks: readonly CheckResult[]): void => {
    for (const check of checks.filter(({ result }) => result === "warn")) {
      warnings += 1;
      deps.say(`! ${task.key}: check '${check.name}' warns${check.message === undefined ? "" : `: ${check.message}`}`);
    }
  };
  const attempts = async (
    task: LocalTask,
    definition: TaskDefinition,
    { signal, timeoutMs }: Pick<Attempt, "signal" | "timeoutMs">,
  ): Promise<Outcome> => {
    const retry = mergeRetry(definition.options.retry, task.options.retry);
    for (let attempt = 1; ; attempt++) {
      await slot();
      const startedMs = deps.clock.monotonicMs();
      const end = await executeAttempt(deps, task, {
        definition,
        attempt,
        signal,
        timeoutMs,
      });
      free();
      const tookMs = Math.round(deps.clock.monotonicMs() - startedMs);
      if (end.t === "done") {
        deps.say(`✓ ${task.key} ${tookMs} ms`);
        warn(task, end.checks ?? []);
        return succeeded(end.output);
      }
      const failure = end.t === "fail" ? end.failure : failureOf(new Error("a task cannot restart"));
      if (!failure.retryable || attempt >= retry.attempts || signal.aborted) {
        deps.say(`✗ ${task.key} ${failure.type}: ${failure.message}`);
        return failed(failure);
      }
      const pauseMs = pauseOf(retry, attempt, deps.random.float());
      deps.say(`↻ ${task.key} attempt ${attempt}: ${failure.type}: ${failure.message}; again in ${pauseMs} ms`);
      await new Promise<void>((resolve) => deps.clock.after(pauseMs, resolve));
    }
  };
  return {
    get warnings() {
      return warnings;
    },
    async execute(task, signal) {
      const definition = deps.registry.tasks.get(task.name);
      if (definition === undefined) return failed(failureOf(unknown(task)));
      const options = { ...definition.options, ...task.options };
      const freeSlot = await takeSlot(options.limit);
      try {
        return await attempts(task, definition, { signal, timeoutMs: options.attemptTimeoutMs });
      } finally {
        freeSlot();
      }
    },
  };
}

/** Takes slots of limits, by name, for this process alone, in the order of arrival. Answers what frees the slot. */
function createSlots(): (limit: TaskOptions["limit"]) => Promise<() => void> {
  const held = new Map<string, number>();
  const waiting = new Map<string, (() => void)[]>();
  return async (limit) => {
    if (limit === undefined) return () => undefined;
    const { name, max } = limit;
    const line = waiting.get(name) ?? [];
    waiting.set(name, line);
    while ((held.get(name) ?? 0) >= max) await new Promise<void>((resolve) => line.push(resolve));
    held.set(name, (held.get(name) ?? 0) + 1);
    return () => {
      held.set(name, (held.get(name) ?? 1) - 1);
      line.shift()?.();
    };
  };
}

function mergeRetry(...layers: readonly TaskOptions["retry"][]): Retry {
  const merged: Retry = { ...defaultRetry };
  for (const { attempts, backoffMs, factor, backoffMaxMs } of layers.filter((layer) => layer !== undefined)) {
    merged.attempts = attempts ?? merged.attempts;
    merged.backoffMs = backoffMs ?? merged.backoffMs;
    merged.factor = factor ?? merged.factor;
    merged.backoffMaxMs = backoffMaxMs ?? merged.backoffMaxMs;
  }
  return merged;
}

/** A pause drawn evenly from zero to the bound, which grows from attempt to attempt. */
const pauseOf = (retry: Retry, attempt: number, share: number): number =>
  Math.floor(share * Math.min(retry.backoffMaxMs, retry.backoffMs * retry.factor ** (attempt - 1)));

function unknown(task: LocalTask): UnknownTaskType {
  const where = task.name.includes("/") ? "is of another project: it needs Salt" : "is not declared";
  return new UnknownTaskType(`Cannot call '${task.name}' here: the task type ${where}.`);
}

interface Attempt {
  readonly definition: TaskDefinition;
  readonly attempt: number;
  readonly signal: AbortSignal;
  readonly timeoutMs: number | undefined;
}

/** One attempt. One that outlasts its time is given up, whatever its function still does. */
async function executeAttempt(
  deps: LocalTasksDeps,
  task: LocalTask,
  { definition, attempt, signal, timeoutMs }: Attempt,
) {
  const work: Work = {
    t: "work",
    argsId: `${task.key}/${attempt}`,
    kind: "task",
    name: task.name,
    task: `run/${task.key}`,
    attempt,
    input: task.input,
    refs: { ...task.refs },
    folder: deps.newFolder(),
  };
  const running = createTaskContext(deps.host, work);
  const cancel = (): void => running.cancel(String(signal.reason));
  signal.addEventListener("abort", cancel);
  if (signal.aborted) cancel();
  const executed = executeTask(running, work, definition);
  if (timeoutMs === undefined) return executed.finally(() => signal.removeEventListener("abort", cancel));
  const { promise: late, resolve } = Promise.withResolvers<{ t: "fail"; failure: Failure }>();
  const timer = deps.clock.after(timeoutMs, () => {
    const message = `The attempt lasted longer than its ${timeoutMs} ms.`;
    running.cancel(message);
    resolve({ t: "fail", failure: { type: "TimedOut", message, retryable: true } });
  });
  const end = await Promise.race([executed, late]);
  timer.cancel();
  signal.removeEventListener("abort", cancel);
  return end;
}
