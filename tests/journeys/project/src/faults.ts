import { readFileSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { call, task, waitForSignal, workflow, z } from "@salt/sdk";
import { pause } from "./effects.ts";

export const echo = task({ name: "echo" }, async (value) => value);

/** What goes well: one task, one answer. */
export const ordinary = workflow(
  { name: "ordinary", input: z.object({ n: z.number() }), output: z.object({ n: z.number() }) },
  async (input) => (await echo(input)) as { n: number },
);

const one = z.number().parse(1);

/** Does not say what it says it does. */
export const wrong = task(
  { name: "wrong", output: z.object({ rows: z.array(z.object({ id: z.number() })) }) },
  async () => ({ rows: [{ id: one }, { id: "two" as unknown as number }] }),
);

export const unencodable = task({ name: "unencodable" }, async () => ({
  orders: [{ when: one }, { when: () => one }],
}));

export const large = task({ name: "large", input: z.object({ bytes: z.number() }) }, async ({ bytes }) =>
  "x".repeat(bytes),
);

export const measure = task({ name: "measure", input: z.string(), output: z.number() }, async (text) => text.length);

/** Ends its process without an answer. */
export const exits = task({ name: "exits", input: z.object({ code: z.number() }) }, async ({ code }) => {
  process.stderr.write("about to leave\n");
  process.exit(code);
});

/** Never answers; `busy` does not even let its process answer anything else. */
export const silent = task(
  { name: "silent", input: z.object({ busy: z.boolean() }), attemptTimeoutMs: 700 },
  async ({ busy }) => {
    while (busy);
    await pause(600_000);
  },
);

/** Prints so many bytes, in lines, as fast as they are taken. */
export const floods = task({ name: "floods", input: z.object({ bytes: z.number() }) }, async ({ bytes }) => {
  const line = Buffer.from(`${"flood ".repeat(1024 * 10)}\n`);
  for (let written = 0; written < bytes; written += line.length) writeSync(1, line);
  return "flooded";
});

/** Answers, and answers again with something else. */
export const twice = task({ name: "twice" }, async () => {
  const write = Socket.prototype.write;
  Socket.prototype.write = function (this: Socket, ...given: Parameters<typeof write>) {
    const [text] = given;
    if (typeof text === "string" && text.includes('"t":"done"')) {
      Socket.prototype.write = write;
      const done = text.split("\n").find((line) => line.includes('"t":"done"')) ?? "";
      return write.call(this, `${text}${done.replace("first", "other")}\n`);
    }
    return write.apply(this, given);
  } as typeof write;
  return { said: "first", pid: process.pid };
});

/** Prints and returns everything that it was started with. */
export const reveals = task({ name: "reveals" }, async (_, { log }) => {
  const seen = { env: { ...process.env }, argv: process.argv, given: readFileSync("/proc/self/environ", "utf8") };
  log(JSON.stringify(seen));
  return seen;
});

export const prints = task(
  { name: "prints", input: z.object({ lines: z.number(), everyMs: z.number() }) },
  async ({ lines, everyMs }, { log }) => {
    for (let line = 0; line < lines; line++) {
      log(`line ${line}`);
      if (everyMs > 0) await pause(everyMs);
    }
    process.stdout.write("the end");
    return lines;
  },
);

/** Calls one task type by its name. */
export const single = workflow(
  {
    name: "single",
    input: z.object({ name: z.string(), input: z.unknown(), kind: z.enum(["task", "workflow"]).default("task") }),
  },
  async ({ name, input, kind }) => await call(name, input, { kind }),
);

/** Calls what a file names: code that reads from outside of Salt, as it must not. */
export const fickle = workflow({ name: "fickle", input: z.object({ file: z.string() }) }, async ({ file }) => {
  const name = readFileSync(file, "utf8");
  await call(name, "x", { key: "the call" });
  await waitForSignal("go");
  return name;
});

/** Gives a large value from task to task. */
export const relay = workflow({ name: "relay", input: z.object({ bytes: z.number() }) }, async ({ bytes }) =>
  measure(large({ bytes }) as never),
);
