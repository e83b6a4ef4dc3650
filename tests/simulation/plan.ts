import type { SeededRandom } from "../support/seeded-random.ts";

/** One thing that a workflow of the simulated project does. Each gives an output that is known beforehand. */
export type Step =
  | { readonly do: "await"; readonly value: number; readonly fresh?: true }
  /** Calls side by side, whose refs are passed on to one that adds them up. */
  | { readonly do: "fan"; readonly width: number }
  | { readonly do: "chain"; readonly length: number }
  | { readonly do: "all"; readonly steps: readonly Step[] }
  /** Whoever wins is told to a further call: a replay that has another winner contradicts the journal. */
  | { readonly do: "race"; readonly width: number }
  /** Each output, as it comes, is passed to a call: what order they came in is in the journal. */
  | { readonly do: "each"; readonly width: number }
  | { readonly do: "child"; readonly plan: Plan }
  | { readonly do: "sleep"; readonly ms: number }
  | { readonly do: "signal"; readonly timeoutMs?: number }
  | { readonly do: "event"; readonly timeoutMs?: number }
  | { readonly do: "flaky"; readonly fails: number }
  | { readonly do: "broken" }
  | { readonly do: "checked" }
  /** A task that does not wait long in its queue. */
  | { readonly do: "hasty" }
  /** Calls side by side under a limit that all runs share; strict ones, drawn where they are more than that, must never outlast their lease. */
  | { readonly do: "limited"; readonly width: number; readonly strict?: true }
  | { readonly do: "large"; readonly kib: number }
  | { readonly do: "detached" }
  | { readonly do: "emit" };

export interface Plan {
  readonly steps: readonly Step[];
  /** So often it goes on as a new run. */
  readonly restarts: number;
  readonly before: readonly unknown[];
}

/** A fan of this width has more refs than its call names itself: pauses beside the tasks, which add nothing. */
export const manyFrom = 6;
/** Tasks at work at once under each of the two limits that `limited` calls are under. */
export const gateMax = 2;
export const signalValue = 7;
export const eventValue = 11;
export const tooLate = "too late";
export const timedOut = "timed out";

const topKinds = ["signal", "event"] as const;
const taskKinds = [
  "await",
  "fan",
  "chain",
  "race",
  "each",
  "flaky",
  "broken",
  "checked",
  "hasty",
  "limited",
  "large",
  "detached",
  "emit",
];
const kinds = [...taskKinds, "all", "child", "sleep"];

/** A workflow's plan. Runs that nobody outside knows (`depth` over 0) wait for no signals. */
export function drawPlan(random: SeededRandom, depth = 0): Plan {
  const choice = [...kinds, ...(depth === 0 ? topKinds : [])];
  const steps = Array.from({ length: random.between(1, depth === 0 ? 4 : 2) }, () => drawStep(random, choice, depth));
  return { steps, restarts: random.chance(0.1) ? random.between(1, 2) : 0, before: [] };
}

/** A plan of nothing but tasks that must not outlast their lease. */
export function drawStrictPlan(random: SeededRandom): Plan {
  const step = (): Step => ({ do: "limited", width: random.between(2, 3), strict: true });
  return { steps: Array.from({ length: random.between(1, 3) }, step), restarts: 0, before: [] };
}

function drawStep(random: SeededRandom, choice: readonly string[], depth: number): Step {
  const kind = choice[random.between(0, choice.length - 1)] as Step["do"];
  switch (kind) {
    case "await":
      return { do: kind, value: random.between(0, 99), ...(random.chance(0.3) ? { fresh: true } : {}) };
    case "fan":
    case "each":
      return { do: kind, width: random.between(2, manyFrom) };
    case "race":
      return { do: kind, width: random.between(2, 3) };
    case "limited": {
      const width = random.between(2, 3);
      return { do: kind, width, ...(width > gateMax ? { strict: true } : {}) };
    }
    case "chain":
      return { do: kind, length: random.between(2, 4) };
    case "all":
      return depth > 1
        ? { do: "fan", width: 2 }
        : { do: kind, steps: [drawStep(random, kinds, depth + 1), drawStep(random, kinds, depth + 1)] };
    case "child":
      return depth > 1 ? { do: "chain", length: 2 } : { do: kind, plan: drawPlan(random, depth + 1) };
    case "sleep":
      return { do: kind, ms: random.between(0, 6_000) };
    case "signal":
    case "event":
      return { do: kind, ...(random.chance(0.4) ? { timeoutMs: random.between(1, 8_000) } : {}) };
    case "flaky":
      return { do: kind, fails: random.between(1, 3) };
    case "large":
      return { do: kind, kib: random.between(10, 40) };
    default:
      return { do: kind };
  }
}

/** Outputs that a step may have, worked out without Salt. */
function outputsOf(step: Step): readonly unknown[] {
  switch (step.do) {
    case "await":
      return [step.value];
    case "fan":
      return [(step.width * (step.width - 1)) / 2];
    case "chain":
      return [step.length];
    case "race":
      return [true];
    case "each":
    case "limited":
      return [(step.width * (step.width - 1)) / 2];
    case "sleep":
      return ["slept"];
    case "signal":
      return step.timeoutMs === undefined ? [signalValue] : [signalValue, timedOut];
    case "event":
      return step.timeoutMs === undefined ? [eventValue] : [eventValue, timedOut];
    case "flaky":
      return [step.fails];
    case "broken":
      return ["broken"];
    case "checked":
      return ["checked"];
    case "hasty":
      return ["in time", tooLate];
    case "large":
      return [step.kib * 1024];
    case "detached":
      return ["left"];
    case "emit":
      return ["emitted"];
    default:
      return [];
  }
}

/** Whether a run of the plan may have this output. */
export function isRight(plan: Plan, output: unknown): boolean {
  if (!Array.isArray(output)) return false;
  const steps = Array.from({ length: plan.restarts + 1 }, () => plan.steps).flat();
  return output.length === steps.length && steps.every((step, index) => isRightOf(step, output[index]));
}

function isRightOf(step: Step, output: unknown): boolean {
  if (step.do === "child") return isRight(step.plan, output);
  if (step.do !== "all") return outputsOf(step).includes(output as never);
  return Array.isArray(output) && step.steps.every((one, index) => isRightOf(one, output[index]));
}

/** Whether somewhere a plan waits for what has to be sent to it. */
export const waitsFor = (plan: Plan, what: "signal" | "event"): boolean => plan.steps.some((step) => step.do === what);
