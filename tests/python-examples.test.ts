import { mkdir } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { copyExample, type PythonExampleName } from "./support/example.ts";
import { tasksOf } from "./support/journeys.ts";
import { findPython, requirePython } from "./support/python-project.ts";
import { type Salt, startSalt } from "./support/start-salt.ts";

const python = await findPython({ minor: 11 });
requirePython(python, 11);

/** The examples whose packages come from PyPI, each a PEX of its own, on one agent. */
describe.skipIf(python === null)("examples with packages of Python", { timeout: 180_000 }, () => {
  let salt: Salt;
  /** Ids of runs, begun as soon as they could be: agents unpack large PEXes meanwhile. */
  const runs = { climate: "", alike: "", drifted: "" };
  beforeAll(async () => {
    salt = await startSalt();
    const register = async (name: PythonExampleName) => {
      const folder = await copyExample(name, path.join(salt.folder, "projects"));
      await salt.saltOk(["register-workflow", folder], { timeoutMs: 300_000 });
    };
    const open = async (workflow: string, input: unknown = null) => (await salt.open(workflow, input)).id;
    await Promise.all([
      register("etl-pandas").then(async () => {
        runs.climate = await open("etl-pandas/climate");
      }),
      register("drift-scikit").then(async () => {
        runs.alike = await open("drift-scikit/nightly");
        runs.drifted = await open("drift-scikit/nightly", 0.2);
      }),
      register("clashing-versions/two"),
      register("clashing-versions/three"),
    ]);
  }, 400_000);
  afterAll(() => salt?.close());

  const ended = async (id: string) => {
    const run = await salt.settled(id, undefined, 150_000);
    return { run, tasks: await tasksOf(salt, id), output: run.output === null ? null : await salt.output(id) };
  };

  test("etl-pandas joins its two records as Arrow files, and its warning is counted", async () => {
    const { run, tasks, output } = await ended(runs.climate);
    expect(run, JSON.stringify(run.failure)).toMatchObject({ status: "succeeded", warnings: 1 });
    expect(output).toEqual({
      months: 526,
      growth: { "1950s": 0.69, "1960s": 0.86, "1970s": 1.23, "1980s": 1.61, "1990s": 1.54, "2000s": 1.31 },
      lag: 9,
      correlation: 0.57,
      table: { $salt: "file", v: expect.objectContaining({ name: "months.parquet" }) },
    });
    const tables = tasks.filter(({ name }) => /^(read|join)_/.test(name)).map((task) => JSON.stringify(task.output));
    expect(tables).toEqual(Array(3).fill(expect.stringContaining("application/vnd.apache.arrow.file")));
  });

  test("drift-scikit scores a batch like the one that it was trained on", async () => {
    const { run, tasks, output } = await ended(runs.alike);
    expect(run, JSON.stringify(run.failure)).toMatchObject({ status: "succeeded", warnings: 0 });
    expect(output).toMatchObject({ samples: 228, accuracy: expect.closeTo(0.97, 1) });
    expect(tasks.find(({ name }) => name === "compare")?.checks).toMatchObject([
      { name: "has_not_drifted", result: "pass" },
    ]);
  });

  test("drift-scikit fails the run, and scores nothing, where drift was planted", async () => {
    const { run, tasks } = await ended(runs.drifted);
    expect(run).toMatchObject({ status: "failed", failure: { cause: { type: "ValidationError" } } });
    const compare = tasks.find(({ name }) => name === "compare");
    const [check] = compare?.checks ?? [];
    expect(check).toMatchObject({
      name: "has_not_drifted",
      result: "fail",
      details: { "mean radius": expect.any(Number) },
    });
    expect(tasks.map(({ name }) => name)).not.toContain("score");
  });

  test("clashing-versions has both versions of a library at work at once on one agent", async () => {
    const meeting = path.join(salt.folder, "meeting");
    await mkdir(meeting);
    const versions = ["1.10.0", "1.9", "1.9.3-rc.1", "latest"];
    const opened = ["two", "three"].map((name) => salt.open(`semver-${name}/newest`, { versions, meeting }));
    const [two, three] = await Promise.all(opened.map(async (run) => await ended((await run).id)));
    expect(two?.output).toEqual({ library: "2.13.0", newest: "1.10.0", refused: ["1.9", "latest"] });
    expect(three?.output).toEqual({ library: "3.1.2", newest: "1.10.0", refused: ["latest"] });
  });
});
