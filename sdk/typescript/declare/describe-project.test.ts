import { describe, expect, test } from "vitest";
import { Decimal, Duration, FileValue, task, workflow, z } from "../index.ts";
import { describeProject } from "./describe-project.ts";
import { declared, type Registry, type TaskDefinition } from "./registry.ts";

const definition = (name: string, overrides: Partial<TaskDefinition>): TaskDefinition => ({
  name,
  description: undefined,
  input: undefined,
  output: undefined,
  checks: [],
  options: {},
  fn: () => null,
  ...overrides,
});
const registryOf = (...tasks: TaskDefinition[]): Registry => ({
  tasks: new Map(tasks.map((one) => [one.name, one])),
  workflows: new Map(),
});

describe("describeProject", () => {
  test("gives each schema as JSON Schema: what callers may send, and what comes out", () => {
    task(
      {
        name: "d-score",
        description: "Scores.",
        input: z.object({ n: z.number().default(1) }),
        output: z.object({ at: z.date(), big: z.bigint(), tags: z.set(z.string()), by: z.map(z.string(), z.number()) }),
        checks: { sane: () => true },
        retry: { attempts: 3 },
        process: "fresh",
        pool: "gpu",
        labels: { zone: "a" },
        priority: 2,
        limit: { name: "gpu", max: 2 },
        attemptTimeoutMs: 5,
        queueTimeoutMs: 6,
      },
      () => ({ at: new Date(), big: 1n, tags: new Set(["x"]), by: new Map([["x", 1]]) }),
    );
    workflow({ name: "d-rank", input: z.string(), runTimeoutMs: 7, isolate: true }, async (text) => text);
    const { tasks, workflows } = describeProject(declared);
    const [score] = tasks;
    expect(score).toMatchObject({
      name: "d-score",
      description: "Scores.",
      input: { type: "object", properties: { n: { default: 1 } } },
      checks: ["sane"],
      options: {
        retry: { attempts: 3 },
        process: "fresh",
        pool: "gpu",
        labels: { zone: "a" },
        limit: { name: "gpu", max: 2 },
      },
    });
    expect(score?.input).not.toHaveProperty("required");
    expect(score?.output).toMatchObject({
      properties: {
        at: { properties: { $salt: { const: "date" } } },
        big: { properties: { $salt: { const: "bigint" } } },
        tags: { properties: { $salt: { const: "set" } } },
        by: { properties: { $salt: { const: "map" } } },
      },
    });
    expect(workflows).toEqual([
      { name: "d-rank", input: { type: "string" }, output: true, runTimeoutMs: 7, isolate: true },
    ]);
  });

  test("gives classes that values have a form for in that form", () => {
    const classes = { decimal: Decimal, duration: Duration, file: FileValue, bytes: Uint8Array, error: Error } as const;
    const shape = Object.fromEntries(Object.entries(classes).map(([tag, one]) => [tag, z.instanceof(one)]));
    task({ name: "d-classes", output: z.object({ ...shape, other: z.instanceof(URL) }) }, () => ({}) as never);
    const output = describeProject(declared).tasks.find(({ name }) => name === "d-classes")?.output;
    const { other, ...known } = (output as { properties: Record<string, object> }).properties;
    expect(other).toEqual({});
    for (const tag of Object.keys(classes)) {
      expect(known[tag]).toMatchObject({ properties: { $salt: { const: tag } } });
    }
  });

  test.each<[string, TaskDefinition, RegExp]>([
    ["an option out of range", definition("bad", { options: { priority: 1_000 } }), /task type 'bad', priority/],
    ["a limit of nothing", definition("bad", { options: { limit: { name: "gpu", max: 0 } } }), /limit\.max/],
    ["no attempts", definition("bad", { options: { retry: { attempts: 0 } } }), /task type 'bad', retry\.attempts/],
    [
      "a check without a proper name",
      definition("bad", { checks: [{ name: "a b", check: () => true }] }),
      /task type 'bad', checks/,
    ],
  ])("names the declaration with %s", (_what, bad, message) => {
    expect(() => describeProject(registryOf(definition("good", {}), bad))).toThrow(message);
  });
});

describe("declarations", () => {
  test("a name is declared once, by whichever kind", () => {
    task({ name: "d-once" }, () => 1);
    expect(() => workflow({ name: "d-once" }, async () => 1)).toThrow(/'d-once': the name is already declared/);
  });

  test.each(["", "1st", "a/b", "a b", "x".repeat(101)])("%j is no name", (name) => {
    expect(() => task({ name }, () => 1)).toThrow(/the name is not valid/);
  });

  test("what is for workflows says so elsewhere", () => {
    const outside = task({ name: "d-outside" }, () => 1);
    expect(() => outside()).toThrow("Cannot use task 'd-outside' outside of one: it is for the code of a workflow.");
  });
});
