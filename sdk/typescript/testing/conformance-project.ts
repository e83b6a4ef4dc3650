import {
  CancelledError,
  call,
  check,
  fatal,
  now,
  random,
  restart,
  shielded,
  sleep,
  TaskFailed,
  TimedOut,
  task,
  uuid,
  waitForEvent,
  waitForSignal,
  workflow,
  z,
} from "../index.ts";

/** The tasks and workflows that sdk/conformance/README.md describes, which each SDK has. */
const pair = z.object({ a: z.number(), b: z.number() });

const add = task({ name: "add", input: pair, output: z.number() }, ({ a, b }) => a + b);
const fetchOne = task({ name: "fetch", input: z.number() }, (i) => `v${i}`);
const store = task({ name: "store", input: z.string() }, (value) => value);
const undo = task({ name: "undo" }, () => "undone");
task({ name: "stall" }, () => new Promise<never>(() => {}));
task({ name: "boom" }, () => {
  throw new RangeError("no");
});
task({ name: "hopeless" }, () => fatal("never"));
task(
  {
    name: "checked",
    input: z.number(),
    output: z.number(),
    checks: {
      positive: (n) => n > 0 || check.fail("not positive", { n }),
      small: (n) => n < 100 || check.warn("large"),
    },
  },
  (n) => n,
);
const sum = task({ name: "sum", input: z.array(z.number()) }, (numbers) => numbers.reduce((a, b) => a + b, 0));
task({ name: "text", output: z.string() }, () => 7 as unknown as string);

const echo = workflow({ name: "echo" }, async (input: unknown) => input);
workflow({ name: "both", input: pair }, ({ a, b }) => Promise.all([add({ a, b: 1 }), add({ a: b, b: 1 })]));
workflow({ name: "first", input: pair }, ({ a, b }) => Promise.race([add({ a, b: 0 }), add({ a: b, b: 0 })]));
workflow({ name: "chain", input: z.number() }, async (n) => add({ a: add({ a: n, b: 1 }), b: 1 }));
workflow({ name: "gather", input: z.number() }, (n) =>
  sum(Array.from({ length: n }, (_, index) => add({ a: index + 1, b: 1 }))),
);
workflow({ name: "swap" }, () => Promise.all([1, 2].map(async (i) => store(await fetchOne(i)))));
workflow({ name: "later", input: z.number() }, async (n) => {
  const early = add({ a: n, b: 1 });
  await add({ a: n, b: 2 });
  return early;
});
workflow({ name: "keyed", input: z.boolean() }, async (twice) => {
  await add({ a: 1, b: 1 }, { key: "mine" });
  return add({ a: 2, b: 2 }, { key: twice ? "mine" : "yours", priority: 5 });
});
workflow({ name: "approve" }, async () => {
  try {
    return await waitForSignal("approval", { timeoutMs: 60_000 });
  } catch (error) {
    if (error instanceof TimedOut) return "nobody answered";
    throw error;
  }
});
workflow({ name: "mail" }, async () => [await waitForSignal("mail"), await waitForSignal("mail")]);
workflow({ name: "event" }, () => waitForEvent("shipped", { match: { "/order": 7 } }));
workflow({ name: "nap" }, async () => {
  const before = now();
  await sleep(1_000);
  return { before, after: now(), random: [random(), random()], uuid: uuid() };
});
workflow({ name: "careful" }, async () => {
  try {
    return await add({ a: 1, b: 1 });
  } catch (error) {
    if (error instanceof CancelledError) await shielded(async () => undo());
    throw error;
  }
});
workflow({ name: "stubborn" }, async () => {
  try {
    await sleep(1_000);
  } catch {
    // It goes on as if nothing had been said.
  }
  return add({ a: 1, b: 1 });
});
workflow({ name: "again", input: z.number() }, async (n) => (n > 0 ? restart(n - 1) : "done"));
workflow({ name: "parent" }, async () => {
  try {
    return await echo({ a: add({ a: 1, b: 1 }) });
  } catch (error) {
    if (error instanceof TaskFailed) return `child: ${error.failure.type}`;
    throw error;
  }
});
workflow({ name: "foreign" }, () => call("fraud/score", { id: 1 }));
workflow({ name: "throws" }, async () => {
  await add({ a: 1, b: 1 });
  throw new RangeError("out");
});
