import {
  CancelledError,
  now,
  type Ref,
  random,
  shielded,
  sleep,
  TaskFailed,
  TimedOut,
  task,
  uuid,
  waitForEvent,
  waitForSignal,
  workflow,
} from "../index.ts";

/** A random number generator from a seed (mulberry32): the same seed, the same history. */
export function seededNumbers(seed: number): {
  next(): number;
  below(n: number): number;
  chance(share: number): boolean;
} {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { next, below: (n) => Math.floor(next() * n), chance: (share) => next() < share };
}

type Numbers = ReturnType<typeof seededNumbers>;

/** One step of a generated workflow. */
export type Step =
  | { readonly do: "task"; readonly name: string; readonly n: number }
  | { readonly do: "start"; readonly name: string; readonly n: number }
  | { readonly do: "pass-on" }
  | { readonly do: "await-started" }
  | { readonly do: "sleep"; readonly ms: number }
  | { readonly do: "signal"; readonly name: string; readonly timeoutMs?: number }
  | { readonly do: "event"; readonly name: string }
  | { readonly do: "chance" }
  | { readonly do: "all" | "race"; readonly of: readonly (readonly Step[])[] }
  | { readonly do: "if-odd"; readonly odd: readonly Step[]; readonly even: readonly Step[] };

const taskNames = ["red", "green", "flaky"];

export function randomSteps(numbers: Numbers, depth = 0): Step[] {
  return Array.from({ length: 1 + numbers.below(4) }, () => randomStep(numbers, depth));
}

function randomStep(numbers: Numbers, depth: number): Step {
  const name = taskNames[numbers.below(taskNames.length)] ?? "red";
  const kinds = ["task", "task", "start", "pass-on", "await-started", "sleep", "signal", "event", "chance"] as const;
  const deep = ["all", "all", "race", "if-odd"] as const;
  const kind = depth < 3 && numbers.chance(0.4) ? deep[numbers.below(deep.length)] : kinds[numbers.below(kinds.length)];
  switch (kind) {
    case "task":
    case "start":
      return { do: kind, name, n: numbers.below(10) };
    case "sleep":
      return { do: "sleep", ms: numbers.below(1_000) };
    case "signal":
      return {
        do: "signal",
        name: numbers.chance(0.5) ? "a" : "b",
        ...(numbers.chance(0.5) ? { timeoutMs: 100 } : {}),
      };
    case "event":
      return { do: "event", name: "e" };
    case "all":
    case "race":
      return { do: kind, of: Array.from({ length: 1 + numbers.below(3) }, () => randomSteps(numbers, depth + 1)) };
    case "if-odd":
      return { do: "if-odd", odd: randomSteps(numbers, depth + 1), even: randomSteps(numbers, depth + 1) };
    default:
      return { do: kind ?? "chance" };
  }
}

const tasks = new Map(taskNames.map((name) => [name, task({ name }, (input: { n: unknown }) => input.n)]));

/** Runs steps one after another; what each gave goes into the output, so that any difference of order shows. */
async function runSteps(steps: readonly Step[], started: Ref<unknown>[]): Promise<unknown[]> {
  const seen: unknown[] = [];
  for (const step of steps) {
    try {
      seen.push((await runStep(step, started, seen)) ?? null);
    } catch (error) {
      if (error instanceof CancelledError) {
        const undo = tasks.get("red");
        seen.push(await shielded(async () => undo?.({ n: "undo" })));
        throw error;
      }
      if (!(error instanceof TaskFailed) && !(error instanceof TimedOut)) throw error;
      seen.push(error.message);
    }
  }
  return seen;
}

async function runStep(step: Step, started: Ref<unknown>[], seen: readonly unknown[]): Promise<unknown> {
  switch (step.do) {
    case "task":
      return tasks.get(step.name)?.({ n: step.n });
    case "start": {
      const ref = tasks.get(step.name)?.({ n: step.n });
      if (ref !== undefined) started.push(ref);
      return ref?.key;
    }
    case "pass-on":
      return tasks.get("green")?.({ n: started.at(-1) ?? null });
    case "await-started":
      return started.shift();
    case "sleep":
      return sleep(step.ms);
    case "signal":
      return waitForSignal(step.name, step.timeoutMs === undefined ? {} : { timeoutMs: step.timeoutMs });
    case "event":
      return waitForEvent(step.name);
    case "chance":
      return [now(), random(), uuid()];
    case "all":
      return Promise.all(step.of.map((steps) => runSteps(steps, started)));
    case "race":
      return Promise.race(step.of.map((steps) => runSteps(steps, started)));
    case "if-odd":
      return runSteps(String(seen.length).length + (seen.length % 2) === 1 ? step.odd : step.even, started);
  }
}

workflow({ name: "generated" }, (steps: Step[]) => runSteps(steps, []));
