import { existsSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { livingPrograms, tasksOf, until } from "../support/journeys.ts";
import { killsOf } from "../support/kills.ts";
import { findPython, makeZipapp, registerProgram, requirePython } from "../support/python-project.ts";
import { saltFolder } from "../support/salt-process.ts";
import { type Salt, startSalt } from "../support/start-salt.ts";

const python = await findPython();
requirePython(python);

/** Python workflows through a real coordinator and agent, as one file with the SDK inside. */
describe.skipIf(python === null)("a Python project", () => {
  let salt: Salt;
  beforeAll(async () => {
    salt = await startSalt();
    const folder = path.join(salt.folder, "projects");
    await mkdir(folder);
    const module = path.join(saltFolder, "tests", "journeys", "python", "flows.py");
    await registerProgram(salt, "shop", await makeZipapp(python ?? "", module, folder));
  }, 60_000);
  afterAll(() => salt?.close());

  const notesOf = (file: string): string[] =>
    existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n") : [];
  const whatOf = (notes: readonly string[]): string[] => notes.map((line) => line.replace(/ \d+$/, "")).sort();

  const due = (v: string) => ({ $salt: "date", v });
  const items = [
    { name: "tea", price: { $salt: "decimal", v: "1.20" }, due: due("2026-03-01T12:00:00.000Z") },
    { name: "milk", price: "0.55", due: "2026-04-01T12:00:00+02:00" },
  ];

  test.each(["order", "order_async"])(
    "C18 C21 %s: tasks, a chain of refs, a signal and a child, with a kill -9 of its program in between, execute once each",
    async (workflow) => {
      const file = path.join(salt.folder, `${workflow}.txt`);
      const { id } = await salt.open(`shop/${workflow}`, { path: file, items });
      await until("the tasks before the signal have settled", () => notesOf(file).length === 4);
      const killed = await killsOf(salt, () => 0).program("workflow");
      expect(killed).toMatch(/^a workflow program, \d+$/);
      await until("its process is gone", () => livingPrograms(salt).every(({ pid }) => !killed.endsWith(`, ${pid}`)));
      await salt.saltOk(["signal", id, "decision", "--value", '{"by":"ann"}']);
      const view = await salt.settled(id);
      expect(view.status, JSON.stringify(view)).toBe("succeeded");
      expect(await salt.output(id)).toEqual({
        total: { $salt: "decimal", v: "3.50" },
        due: due("2026-04-01T10:00:00.000Z"),
        approved_by: "ann",
        tracking: "tracking 3.50",
      });
      expect(whatOf(notesOf(file))).toEqual(["latest", "price milk", "price tea", "total", "track"]);
    },
    60_000,
  );

  test("C21 a workflow that goes over a set of strings makes the same calls when it is replayed in another process", async () => {
    const file = path.join(salt.folder, "unordered.txt");
    const { id } = await salt.open("shop/unordered", file);
    for (let kill = 0; kill < 3; kill++) {
      await until("the tasks before the signal have settled", () => notesOf(file).length === 7);
      const killed = await killsOf(salt, () => 0).program("workflow");
      await until("its process is gone", () => livingPrograms(salt).every(({ pid }) => !killed.endsWith(`, ${pid}`)));
    }
    await salt.saltOk(["signal", id, "decision"]);
    expect(await salt.output(id)).toEqual([
      "6",
      ...["bread", "butter", "jam", "milk", "salt", "tea"].map((name) => `tracking ${name}`),
    ]);
    expect(notesOf(file)).toHaveLength(7);
  });

  test("what a task raises arrives with type, message, causes and the project's own traceback", async () => {
    const { id } = await salt.open("shop/failing", "raise");
    await salt.settled(id);
    const [task] = (await tasksOf(salt, id)).filter(({ key }) => key === "fails#1");
    const failure = task?.failure;
    expect(failure).toMatchObject({
      type: "OutOfStock",
      message: "no apples",
      cause: { type: "KeyError", message: "'apples'" },
    });
    expect(failure?.stack).toContain('File "flows.py"');
    expect(failure?.stack).not.toContain("execute.py");
    const said = await salt.salt(["runs", "watch", id]);
    expect(said.stdout + said.stderr).toContain("OutOfStock: no apples");
  });

  test.each([
    ["exit", "SystemExit", "enough"],
    ["interrupt", "KeyboardInterrupt", ""],
    ["os._exit", "ProgramExited", "9"],
    ["segfault", "ProgramExited", "SIGSEGV"],
  ])("%s is told apart: %s", async (how, type, message) => {
    const { id } = await salt.open("shop/failing", how);
    await salt.settled(id);
    const [task] = (await tasksOf(salt, id)).filter(({ key }) => key === "fails#1");
    expect(task?.failure).toMatchObject({ type, message: expect.stringContaining(message) });
  });

  test.each([
    ["python", ["begun", "cleaned up"]],
    ["C", ["begun"]],
  ])("C23 a task that blocks in %s is cancelled", async (how, notes) => {
    const file = path.join(salt.folder, `blocks-${how}.txt`);
    const { id } = await salt.open("shop/blocking", { path: file, how });
    await until("the task has begun", () => notesOf(file).length > 0);
    const pid = Number(notesOf(file)[0]?.split(" ").at(-1));
    await salt.saltOk(["runs", "cancel", id]);
    expect((await salt.settled(id)).status).toBe("cancelled");
    await until("its process is gone", () => livingPrograms(salt).every((program) => program.pid !== pid));
    await until("nothing is left of it", () => !existsSync(`/proc/${pid}`));
    expect(whatOf(notesOf(file))).toEqual(notes);
  });

  test("files and large values go from task to task, past the workflow", async () => {
    const { id } = await salt.open("shop/reports", 5_000);
    await salt.settled(id);
    expect(await salt.output(id)).toEqual([
      ["report.csv", 5_000, 0],
      ["report.csv", 5_000, 100_000],
    ]);
  });

  test("threads, processes and subprocesses print whole lines, and nothing is lost at the end", async () => {
    const { id } = await salt.open("shop/printing");
    expect(await salt.output(id)).toEqual([0, 1, 4, 9, 16]);
    const logs = await salt.saltOk(["logs", id]);
    for (const n of [0, 1, 2, 3]) {
      const lines = [...logs.matchAll(new RegExp(`thread${n} line (\\d+)$`, "gm"))].map(([, line]) => Number(line));
      expect(lines).toEqual(Array.from({ length: 50 }, (_, line) => line));
    }
    expect(logs).toMatch(/from a subprocess$/m);
    expect(logs).toContain("the last words");
  });
});
