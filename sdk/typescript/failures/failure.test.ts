import { describe, expect, test } from "vitest";
import { SaltError } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import { failureSchema } from "#shared/protocol/common.ts";
import { fatal, RemoteError, TaskFailed } from "./errors.ts";
import { failureOf, ownStack } from "./failure.ts";

class OutOfStock extends Error {}

describe("failureOf", () => {
  test.each<[string, unknown, object]>([
    [
      "the class of an error",
      new OutOfStock("none left"),
      { type: "OutOfStock", message: "none left", retryable: true },
    ],
    ["a name that the class sets", Object.assign(new Error("x"), { name: "Named" }), { type: "Named" }],
    [
      "an error that says it is not retryable",
      Object.assign(new Error("x"), { retryable: false }),
      { retryable: false },
    ],
    ["a string", "just words", { type: "Error", message: "just words", retryable: true }],
    ["an object", { odd: 1 }, { type: "Error", message: expect.stringContaining('{"odd":1}') }],
    ["undefined", undefined, { type: "Error", message: expect.stringContaining("undefined") }],
    ["null", null, { type: "Error", message: expect.stringContaining("null") }],
    [
      "Salt's own error",
      new SaltError("TooLarge", "Too big.", { next: "Cut it." }),
      { type: "TooLarge", message: "Too big. Cut it." },
    ],
    ["details", Object.assign(new Error("x"), { details: { id: 7 } }), { details: { id: 7 } }],
  ])("tells %s", (_what, thrown, expected) => {
    const failure = failureOf(thrown);
    expect(failure).toMatchObject(expected);
    expect(failureSchema.safeParse(failure).success).toBe(true);
  });

  test("keeps causes five deep, and a chain that contains itself ends", () => {
    const error = new Error("0");
    error.cause = error;
    let failure = failureOf(error);
    let depth = 0;
    for (; failure.cause !== undefined; depth++) failure = failure.cause;
    expect(depth).toBe(5);
  });

  test("A54 cuts message and stack to their limits, mends half surrogates, and drops details that JSON cannot hold", () => {
    const error = Object.assign(new Error(`\ud800${"x".repeat(100_000)}`), { details: { self: {} as unknown, n: 1n } });
    error.details.self = error;
    const failure = failureOf(error);
    expect(failure.message.length).toBe(limits.messageCharsMax);
    expect(failure.message.isWellFormed()).toBe(true);
    expect(failure.stack?.length).toBe(limits.stackCharsMax);
    expect(failure.details).toBeUndefined();
    expect(failureSchema.safeParse(failure).success).toBe(true);
  });

  test("an error from another program keeps the name that it had there, and no stack of its own", () => {
    const plain = new TaskFailed({ key: "a#1", task: "a" }, { type: "Error", message: "x", retryable: true });
    const { cause } = failureOf(plain);
    expect(cause).toEqual({ type: "Error", message: "x", retryable: true });
  });

  test("in a built program the stack shows the project's files by their paths, and what was bundled with them only where there is nothing else", () => {
    const program = "file:///srv/my%20agent/binaries/31dc";
    const stack = [
      "Error: x",
      `    at parse (${program}:17:3)`,
      "    at price (/srv/my agent/binaries/src/main.ts:7:9)",
      `    at runBody (${program}:21550:55)`,
      "    at process.processTicksAndRejections (node:internal/process/task_queues:103:5)",
    ].join("\n");
    expect(ownStack(stack, program)).toBe("Error: x\n    at price (src/main.ts:7:9)");
    expect(ownStack(`Error: x\n    at f (${program}:1:2)`, program)).toBe("Error: x\n    at f (main:1:2)");
  });

  test("shows no frame of Node itself", () => {
    expect(failureOf(new Error("x")).stack).not.toMatch(/node:/);
  });

  test("a fatal error is not retryable", () => {
    try {
      fatal("never");
    } catch (error) {
      expect(failureOf(error)).toMatchObject({ type: "NonRetryableError", message: "never", retryable: false });
    }
  });
});

test("TaskFailed carries what the task threw as its cause, and says both", () => {
  const cause = { type: "KeyError", message: "k", retryable: true };
  const error = new TaskFailed(
    { key: "score#1", task: "score" },
    { type: "ValueError", message: "no", retryable: true, cause },
  );
  expect(error.message).toBe("'score#1' failed: ValueError: no");
  expect(error.cause).toBeInstanceOf(RemoteError);
  expect(failureOf(error)).toMatchObject({
    type: "TaskFailed",
    cause: { type: "ValueError", cause: { type: "KeyError" } },
  });
});
