import {
  CancelledError,
  emit,
  fatal,
  type Ref,
  restart,
  shielded,
  sleep,
  TaskFailed,
  TimedOut,
  task,
  waitForEvent,
  waitForSignal,
  workflow,
} from "#sdk/index.ts";
import type { TaskContext } from "#sdk/task/task-context.ts";
import { limits } from "#shared/domain/limits.ts";
import { eventValue, gateMax, manyFrom, type Plan, type Step, timedOut, tooLate } from "./plan.ts";
import { theWorld } from "./world.ts";

/** The project that the simulated programs are built of: its workflows do what their input, a plan, says. */

const patient = { attemptTimeoutMs: 6_000, retry: { attempts: 1_000, backoffMs: 100, backoffMaxMs: 2_000 } } as const;

const does = <In, Out>(name: string, fn: (input: In, context: TaskContext) => Out, more: object = {}, lastsMs = 30) =>
  task({ ...patient, ...more, name }, (input: In, context) =>
    theWorld().execute(context, () => fn(input, context), lastsMs),
  );

const echo = does("echo", (value: number) => value);
const fresh = does("fresh", (value: number) => value, { process: "fresh" });
const sum = does("sum", (values: readonly number[]) => values.reduce((total, value) => total + value, 0));
const large = does("large", (kib: number) => "x".repeat(kib * 1024));
const lengthOf = does("lengthOf", (text: string) => text.length);
const flaky = does("flaky", (fails: number, { attempt }) => {
  if (attempt <= fails) throw new Error(`attempt ${attempt} is to fail`);
  return fails;
});
const broken = does("broken", (): number => {
  throw fatal("it is broken");
});
const checked = task(
  { ...patient, name: "checked", checks: { odd: () => ({ result: "warn" as const, message: "odd" }) } },
  (_input: unknown, context) => theWorld().execute(context, () => "checked"),
);
const hasty = does("hasty", () => "in time", { queueTimeoutMs: 20 });
const gated = does("gated", (value: number) => value, { limit: { name: "gate", max: gateMax } });
const strictly = { limit: { name: "door", max: gateMax }, onLeaseLost: "stop", attemptTimeoutMs: 60_000 };
/** Longer than a lease without renewals, and what comes after it. */
const strict = does("strict", (value: number) => value, strictly, 30_000);
const emits = does("emits", () => {
  emit("paid", eventValue);
  return "emitted";
});

async function follow(plan: Plan): Promise<unknown> {
  const outputs = [...plan.before];
  try {
    for (const step of plan.steps) outputs.push(await take(step));
  } catch (error) {
    if (error instanceof CancelledError) await shielded(async () => await echo(0));
    throw error;
  }
  if (plan.restarts > 0) restart({ ...plan, restarts: plan.restarts - 1, before: outputs });
  return outputs;
}

workflow({ name: "main" }, follow);
const child = workflow({ name: "child" }, follow);

const upTo = (width: number): number[] => Array.from({ length: width }, (_, index) => index);

async function take(step: Step): Promise<unknown> {
  switch (step.do) {
    case "await":
      return step.fresh ? await fresh(step.value) : await echo(step.value);
    case "fan": {
      const pauses = step.width < manyFrom ? [] : upTo(limits.refsInlineMax).map(() => sleep(0));
      return await sum([...upTo(step.width).map((value) => echo(value)), ...pauses] as Ref<number>[]);
    }
    case "chain": {
      let value = 0;
      for (const _ of upTo(step.length)) value = (await sum([value, 1])) as number;
      return value;
    }
    case "all":
      return await Promise.all(step.steps.map(take));
    case "race": {
      const winner = (await Promise.race(upTo(step.width).map((value) => echo(value)))) as number;
      return ((await echo(winner)) as number) === winner;
    }
    case "each":
      return await takeEach(step.width);
    case "child":
      return await child(step.plan);
    case "large":
      return await lengthOf(large(step.kib) as Ref<string>);
    case "flaky":
      return await flaky(step.fails);
    case "checked":
      return await checked(null);
    case "hasty":
      return await hasty(null).catch((error: unknown) => {
        if (error instanceof TaskFailed && error.failure.type === "QueueTimedOut") return tooLate;
        throw error;
      });
    case "detached":
      void echo(1, { detached: true });
      return "left";
    case "limited":
      return await sum(upTo(step.width).map((value) => callLimited(step.strict === true, value)) as Ref<number>[]);
    case "emit":
      return await emits(null);
    default:
      return await takeWait(step);
  }
}

const callLimited = (isStrict: boolean, value: number) => (isStrict ? strict : gated)(value, { priority: value });

/** What comes first is passed on first, so that a call's key depends on the order in which outputs came. */
async function takeEach(width: number): Promise<number> {
  const passed = upTo(width).map(async (value) => (await sum([(await echo(value)) as number])) as number);
  return (await Promise.all(passed)).reduce((total, value) => total + value, 0);
}

async function takeWait(step: Step): Promise<unknown> {
  try {
    if (step.do === "sleep") {
      await sleep(step.ms);
      return "slept";
    }
    if (step.do === "signal") return await waitForSignal("go", step);
    if (step.do === "event") return await waitForEvent("paid", step);
    return await broken(null);
  } catch (error) {
    if (error instanceof TimedOut) return timedOut;
    if (error instanceof Error && error.message.includes("it is broken")) return "broken";
    throw error;
  }
}
