import { cp } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type HeardLine, startHeardLine } from "../support/heard-line.ts";
import { readJournal, tasksOf } from "../support/journeys.ts";
import { findPython, requirePython } from "../support/python-project.ts";
import { saltFolder } from "../support/salt-process.ts";
import { type Salt, startSalt } from "../support/start-salt.ts";

const python = await findPython();
requirePython(python);

/** The values of a parcel as they travel: mixed/kitchen and mixed/pantry pack the same, but for the error's class. */
const parcelOf = (note: string, error: string, id: unknown) => ({
  grams: { $salt: "bigint", v: "12345678901234567890" },
  small: { $salt: "bigint", v: "7" },
  price: { $salt: "decimal", v: "1.20" },
  packed: { $salt: "date", v: "2026-03-01T12:34:56.789Z" },
  seal: { $salt: "bytes", v: "AP8Q" },
  counts: {
    $salt: "map",
    v: expect.arrayContaining([
      ["eggs", 12],
      ["flour", 0.5],
    ]),
  },
  tags: { $salt: "set", v: expect.toSatisfy((tags: string[]) => [...tags].sort().join() === "cool,fragile") },
  id,
  keeps: { $salt: "duration", v: "PT1.5S" },
  list: { $salt: "file", v: expect.objectContaining({ bytes: 11, name: "list.txt", mediaType: "text/plain" }) },
  trouble: { $salt: "error", v: expect.objectContaining({ type: error, message: "too cold" }) },
  ratio: 0.1,
  note,
});
const text = "0190a6f0-0000-7000-8000-000000000001";
const uuid = { $salt: "uuid", v: text };

const inTypescript = {
  ...{ grams: "bigint", small: "bigint", price: "Decimal", packed: "Date", seal: "Uint8Array", counts: "Map" },
  ...{ tags: "Set", id: "string", keeps: "Duration", list: "FileValue", trouble: "Error", ratio: "number" },
  note: "string",
};
const inPython = {
  ...{ grams: "BigInt", small: "BigInt", price: "Decimal", packed: "datetime", seal: "bytes", counts: "Map" },
  ...{ tags: "set", id: "UUID", keeps: "timedelta", list: "FileValue", trouble: "RemoteError", ratio: "float" },
  note: "str",
};
const inspected = (kinds: object, parcel: object) => ({ kinds, parcel, list: "flour, eggs" });

/** Three projects that call each other through what `salt generate` makes: kitchen and waiter in TypeScript, pantry in Python. */
describe.skipIf(python === null)("workflows over projects in two languages", { timeout: 150_000 }, () => {
  let salt: Salt;
  let line: HeardLine;
  beforeAll(async () => {
    salt = await startSalt({ agents: 0 });
    line = await startHeardLine(salt.url);
    await salt.startAgent("agent-1", ["--url", line.url]);
    await cp(path.join(saltFolder, "tests", "journeys", "mixed"), path.join(salt.folder, "mixed"), { recursive: true });
    const register = (project: string) =>
      salt.saltOk(["register-workflow", `mixed/${project}`], { timeoutMs: 150_000 });
    const generate = (project: string, out: string) =>
      salt.saltOk([
        "generate",
        project,
        "--language",
        path.extname(out) === ".py" ? "python" : "typescript",
        "--out",
        `mixed/${out}`,
      ]);
    await register("kitchen");
    await Promise.all([
      generate("kitchen", "pantry/src/pantry/kitchen.py"),
      generate("kitchen", "waiter/src/kitchen.ts"),
    ]);
    await register("pantry");
    await generate("pantry", "waiter/src/pantry.ts");
    await register("waiter");
  }, 240_000);
  afterAll(async () => {
    await salt?.close();
    await line?.close();
  });

  const run = async (workflow: string, input?: unknown) => {
    const { id } = await salt.open(workflow, input);
    await salt.settled(id, undefined, 120_000);
    return { id, output: await salt.output(id) };
  };

  // TypeScript has no type for a UUID: there it is text, which Python reads as one.
  test("values of every kind keep their types from Python to a TypeScript workflow, back, and past it", async () => {
    const { output } = await run("waiter/tour");
    expect(output).toEqual({
      kinds: inTypescript,
      byValue: inspected(inPython, parcelOf("by value", "ValueError", text)),
      toPython: inspected(inPython, parcelOf("by ref", "RangeError", text)),
      toTypeScript: inspected(inTypescript, parcelOf("by ref", "ValueError", text)),
    });
  });

  test("values of every kind keep their types from TypeScript to a Python workflow, back, and past it", async () => {
    const { output } = await run("pantry/tour");
    expect(output).toEqual({
      kinds: { ...inPython, id: "str" },
      byValue: inspected(inTypescript, parcelOf("by value", "RangeError", text)),
      toTypeScript: inspected(inTypescript, parcelOf("by ref", "ValueError", text)),
      toPython: inspected(inPython, parcelOf("by ref", "RangeError", uuid)),
    });
  });

  /** How often the agent fetched the outputs of the tasks `lines`. */
  const fetched = async (id: string): Promise<number[]> => {
    const values = (await tasksOf(salt, id)).filter(({ name }) => name.endsWith("lines")).map(({ output }) => output);
    return values.map((value) => line.gets(`/v1/blobs/${(value as { blob: string }).blob}`));
  };

  test.each(["waiter/past", "pantry/past"])(
    "C22 %s passes large values on from language to language, and never gets them itself",
    async (workflow) => {
      const lines = workflow === "waiter/past" ? 5_000 : 5_001;
      const { id, output } = await run(workflow, lines);
      expect(output).toEqual([lines, lines]);
      expect(JSON.stringify(await readJournal(salt, id))).not.toContain("line 1 of the");
      expect(await fetched(id)).toEqual([1, 1]);
    },
  );

  test("C22 a workflow that awaits a large value does get it", async () => {
    const { id } = await run("waiter/through", 5_002);
    expect(await fetched(id)).toEqual([2]);
  });

  test.each([
    [
      "waiter/accident",
      "milk",
      {
        type: "Spoilt",
        message: "milk is blue",
        details: { days: 3 },
        cause: {
          type: "LookupError",
          message: "no shelf",
          cause: { type: "KeyError", message: "'milk'", cause: null },
        },
      },
    ],
    [
      "pantry/accident",
      "milk",
      {
        type: "Spilt",
        message: "milk is on the floor",
        details: { litres: 2 },
        cause: {
          type: "TypeError",
          message: "no lid",
          cause: { type: "RangeError", message: "too full", cause: null },
        },
      },
    ],
    ["waiter/accident", "zero", { type: "UnencodableValue", message: expect.stringContaining("nan"), cause: null }],
    ["pantry/accident", "zero", { type: "UnencodableValue", message: expect.stringContaining("NaN"), cause: null }],
  ])(
    "C23 what goes wrong in the other language arrives in %s of %s with type, message and causes",
    async (workflow, what, told) => {
      expect((await run(workflow, what)).output).toMatchObject(told);
    },
  );
});
