import { describe, expect, test } from "vitest";
import { check } from "../declare/check.ts";
import { declared } from "../declare/registry.ts";
import {
  call,
  fatal,
  restart,
  sleep,
  type TaskContext,
  TaskFailed,
  task,
  waitForSignal,
  workflow,
  z,
} from "../index.ts";
import { textsInMemory } from "../testing/texts-in-memory.ts";
import { createVirtualClock } from "../testing/virtual-clock.ts";
import { LocalRun, type LocalSignal } from "./local-run.ts";
import { createLocalTasks, type LocalTasksDeps } from "./local-tasks.ts";

let failures = 0;
const twice = task({ name: "l-twice", input: z.number() }, (n) => n * 2);
const flaky = task(
  { name: "l-flaky", retry: { attempts: 3, backoffMs: 1_000 } },
  (_input: unknown, { attempt }: TaskContext) => {
    failures += 1;
    if (attempt < 3) throw new Error(`attempt ${attempt}`);
    return attempt;
  },
);
const hopeless = task({ name: "l-hopeless", retry: { attempts: 3 } }, () => {
  failures += 1;
  fatal("never");
});
const slow = task({ name: "l-slow", attemptTimeoutMs: 50 }, () => new Promise<number>(() => {}));
const warns = task({ name: "l-warns", checks: { odd: () => check.warn("hm") } }, () => 1);

let atWork = 0;
let atWorkMost = 0;
const limited = task({ name: "l-limited", limit: { name: "door", max: 2 } }, async () => {
  atWork += 1;
  atWorkMost = Math.max(atWorkMost, atWork);
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  atWork -= 1;
  return 1;
});
workflow({ name: "l-run-limited" }, async (n: number) => total(Array.from({ length: n }, () => limited())));

workflow({ name: "l-refs" }, async (n: number) => twice(twice(twice(n))));
const total = task({ name: "l-total", input: z.array(z.number()) }, (all) => all.reduce((sum, n) => sum + n, 0));
workflow({ name: "l-many" }, async (n: number) => total(Array.from({ length: n }, (_, index) => twice(index))));
workflow({ name: "l-signal-ref" }, async () => twice(waitForSignal("n")));
workflow({ name: "l-run-flaky" }, () => flaky());
workflow({ name: "l-run-hopeless" }, () => hopeless());
workflow({ name: "l-run-slow" }, () => slow());
workflow({ name: "l-run-warns" }, () => warns());
const child = workflow({ name: "l-child" }, async (n: number) => {
  await sleep(60_000);
  return twice(n);
});
workflow({ name: "l-parent" }, async () => child(await child(1)));
workflow({ name: "l-dependent" }, async () => {
  try {
    return await twice(hopeless() as never);
  } catch (error) {
    return error instanceof TaskFailed ? [error.failure.type, error.failure.cause?.type] : null;
  }
});
workflow({ name: "l-loop" }, async (n: number) => (n === 0 ? "done" : restart((await twice(n)) / 2 - 1)));
workflow({ name: "l-mail" }, async (n: number) => {
  await waitForSignal("mail");
  return n > 1 ? restart(n - 1) : waitForSignal("last");
});
workflow({ name: "l-typed-signal" }, () => waitForSignal("age", { schema: z.object({ years: z.number() }) }));
workflow({ name: "l-timeout" }, () => waitForSignal("never", { timeoutMs: 5_000 }));
workflow({ name: "l-stuck" }, () => stuckChild());
const stuckChild = workflow({ name: "l-stuck-child" }, () => waitForSignal("never"));
workflow({ name: "l-foreign" }, () => call("fraud/score"));

function start(name: string, input: unknown = null, signals: readonly LocalSignal[] = []) {
  const clock = createVirtualClock();
  const said: string[] = [];
  let folders = 0;
  const deps: LocalTasksDeps = {
    clock,
    random: { float: () => 0.5, bytes: (count) => new Uint8Array(count) },
    registry: declared,
    newFolder: () => `/work-${++folders}`,
    say: (line) => void said.push(line),
    host: {
      texts: textsInMemory(),
      writeLine: () => {},
      send: () => {},
      emit: () => {},
      hashFile: () => Promise.reject(new Error("no files")),
      fetchFile: () => Promise.reject(new Error("no files")),
    },
  };
  const run = new LocalRun(
    { ...deps, tasks: createLocalTasks(deps), activity: { count: 0 } },
    { name, input: { json: JSON.stringify(input) }, signals },
  ).run();
  return {
    clock,
    said,
    outcome: clock.pass(300_000).then(() => Promise.race([run, Promise.resolve({ kind: "open" })])),
  };
}

const output = (value: unknown) => ({ kind: "succeeded", output: { json: JSON.stringify(value) } });

describe("C23 main run", () => {
  test.each<[string, unknown, object]>([
    ["l-refs", 1, output(8)],
    ["l-many", 1_000, output(999_000)],
    ["l-parent", null, output(4)],
    ["l-dependent", null, output(["DependencyFailed", "NonRetryableError"])],
    ["l-loop", 3, output("done")],
    ["l-run-warns", null, output(1)],
    ["l-run-slow", null, { kind: "failed", failure: { type: "TaskFailed", cause: { type: "TimedOut" } } }],
    ["l-timeout", null, { kind: "failed", failure: { type: "TimedOut" } }],
    ["l-stuck", null, { kind: "stuck", awaiting: ["signal:never#1"] }],
    ["l-foreign", null, { kind: "failed", failure: { cause: { type: "UnknownTaskType" } } }],
    ["l-none", null, { kind: "failed", failure: { type: "UnknownTaskType" } }],
  ])("%s of %j", async (name, input, expected) => {
    expect(await start(name, input).outcome).toMatchObject(expected);
  });

  test("retries as often as the task type says, pausing longer each time", async () => {
    failures = 0;
    const { outcome, said } = start("l-run-flaky");
    expect(await outcome).toEqual(output(3));
    expect(failures).toBe(3);
    expect(said.map((line) => line.match(/again in (\d+) ms/)?.[1])).toEqual(["500", "1000", undefined]);
  });

  test("C17 lets as many tasks under a limit be at work at once as it allows", async () => {
    expect(await start("l-run-limited", 9).outcome).toEqual(output(9));
    expect(atWorkMost).toBe(2);
  });

  test("does not retry what is fatal", async () => {
    failures = 0;
    expect(await start("l-run-hopeless").outcome).toMatchObject({ kind: "failed" });
    expect(failures).toBe(1);
  });

  test("a signal that does not fit its schema says where", async () => {
    const signals = [{ name: "age", value: { json: '{"years":"x"}' } }];
    const outcome = await start("l-typed-signal", null, signals).outcome;
    expect(outcome).toMatchObject({
      kind: "failed",
      failure: { type: "ValidationError", message: expect.stringMatching(/signal 'age' is not valid: .*years: /) },
    });
  });

  test("a task that is given the ref of a wait for a signal gets its value", async () => {
    expect(await start("l-signal-ref", null, [{ name: "n", value: { json: "21" } }]).outcome).toEqual(output(42));
  });

  test("signals that nobody took move over to the run that goes on", async () => {
    const signal = (name: string, value: unknown): LocalSignal => ({ name, value: { json: JSON.stringify(value) } });
    const signals = [signal("mail", 1), signal("last", "x"), signal("mail", 2)];
    expect(await start("l-mail", 2, signals).outcome).toEqual(output("x"));
  });

  test("says which checks warn", async () => {
    const { outcome, said } = start("l-run-warns");
    await outcome;
    expect(said).toContain("! l-warns#1: check 'odd' warns: hm");
  });
});
