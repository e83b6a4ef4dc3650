import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ExampleName, registerExample } from "./support/example.ts";
import { type Salt, startSalt } from "./support/start-salt.ts";

const execute = promisify(execFile);

let salt: Salt;
const programs = {} as Record<ExampleName, string>;

beforeAll(async () => {
  salt = await startSalt();
  const names = ["fan-out", "converge", "approval", "orders"] as const;
  const registered = names.map(async (name) => {
    programs[name] = (await registerExample(salt, name)).program;
  });
  await Promise.all(registered);
}, 120_000);
afterAll(() => salt?.close());

const tasksOf = async (run: string) =>
  (await salt.client.call("listTasks", { params: { run }, query: { limit: 200 } })).rows;

const run = async (workflow: string, input: unknown = {}) => {
  const opened = await salt.open(workflow, input);
  return await salt.settled(opened.id);
};

/** What the executable prints when it runs a workflow by itself. */
const runAlone = async (name: ExampleName, ...args: string[]): Promise<unknown> =>
  JSON.parse((await execute(programs[name], ["run", ...args, "--quiet"], { env: {} })).stdout);

const outputOf = async (run: { id: string; output: unknown }): Promise<unknown> => {
  expect(run.output, JSON.stringify(run)).not.toBeNull();
  return await salt.output(run.id);
};

describe("fan-out", () => {
  const input = { top: 3, minLetters: 5 };
  const output = {
    words: 4323,
    differentWords: 832,
    top: [
      { word: "shall", count: 191 },
      { word: "states", count: 78 },
      { word: "united", count: 53 },
    ],
  };

  test("a tree of 35 tasks, of which one is awaited, gives the same counts as the executable alone", async () => {
    const ended = await run("fan-out/wordStatistics", input);
    expect(ended).toMatchObject({ status: "succeeded", counts: { calls: 35, succeeded: 35 }, warnings: 0 });
    expect(await outputOf(ended)).toEqual(output);
    expect(await runAlone("fan-out", "wordStatistics", "--input", JSON.stringify(input))).toEqual(output);
  });

  test("each merge names its parts as refs, and its check is kept with it", async () => {
    const ended = await run("fan-out/wordStatistics", input);
    const tasks = await tasksOf(ended.id);
    const second = tasks.find((task) => task.key === "merge Article II");
    expect(second?.refs).toEqual(["countWords#12", "countWords#13", "countWords#14", "countWords#15"]);
    expect(second?.checks).toEqual([
      { name: "nothingLost", result: "pass", message: expect.stringContaining("words") },
    ]);
    expect(tasks.find((task) => task.name === "rankWords")?.refs).toEqual(["mergeCounts#1"]);
  });

  test("a check that warns lets the run succeed, with the warning counted", async () => {
    const ended = await run("fan-out/wordStatistics", { top: 10, minLetters: 15 });
    expect(ended).toMatchObject({ status: "succeeded", warnings: 1 });
  });
});

describe("converge", () => {
  const line = { intercept: expect.closeTo(3.0001, 3), slope: expect.closeTo(0.5001, 4), rounds: expect.any(Number) };

  test("the loop ends with the first round that passes the check", async () => {
    const ended = await run("converge/fitLine");
    expect(await outputOf(ended)).toEqual(line);
    const gates = (await tasksOf(ended.id)).filter((task) => task.name === "accept");
    const { rounds } = (await outputOf(ended)) as { rounds: number };
    expect(gates.map((gate) => gate.status)).toEqual([...Array(rounds - 1).fill("failed"), "succeeded"]);
    expect(gates[0]?.failure).toMatchObject({
      type: "ValidationError",
      message: expect.stringContaining("'converged'"),
    });
    expect(gates.at(-1)?.checks).toMatchObject([{ name: "converged", result: "pass" }]);
    expect(await runAlone("converge", "fitLine")).toEqual(line);
  });

  test("a loop that does not get there fails the run, and says where it got to", async () => {
    const ended = await run("converge/fitLine", { roundsMax: 2 });
    expect(ended).toMatchObject({ status: "failed", failure: { message: expect.stringContaining("within 2 rounds") } });
  });
});

describe("approval", () => {
  const expense = { id: "e-1", by: "Ada", amount: 120, purpose: "a lamp" };

  test("it waits parked, without a process, until somebody decides", async () => {
    const { id } = await salt.open("approval/approveExpense", expense);
    await salt.settled(id, ({ status }) => status === "parked");
    await salt.saltOk(["signal", id, "decision", "--value", '{"approved":true,"by":"Grace"}']);
    const ended = await salt.settled(id);
    const paid = { status: "paid", decidedBy: "Grace", waitedMs: expect.any(Number), reminders: 0 };
    expect(await outputOf(ended)).toEqual({ ...paid, payment: "payment-e-1" });
  });

  test("it reminds at every interval, and a rejection after that is heard", async () => {
    const { id } = await salt.open("approval/approveExpense", { ...expense, remindEveryMs: 300 });
    const reminders = async () =>
      (await tasksOf(id)).filter((task) => task.name === "tell" && task.status === "succeeded").length - 1;
    await expect.poll(reminders, { timeout: 10_000 }).toBeGreaterThanOrEqual(2);
    await salt.saltOk(["signal", id, "decision", "--value", '{"approved":false,"by":"Grace","reason":"no"}']);
    const output = (await outputOf(await salt.settled(id))) as { reminders: number };
    expect(output).toMatchObject({ status: "rejected", decidedBy: "Grace" });
    expect(output.reminders).toBeGreaterThanOrEqual(2);
  });

  test("a decision of the wrong form fails the run by name", async () => {
    const { id } = await salt.open("approval/approveExpense", expense);
    await salt.saltOk(["signal", id, "decision", "--value", '{"approved":false,"by":"Grace"}']);
    expect((await salt.settled(id)).failure).toMatchObject({ type: "ValidationError" });
  });

  test("the executable alone takes the signal from its command line", async () => {
    const args = ["--input", JSON.stringify(expense), "--signal", 'decision={"approved":true,"by":"Grace"}'];
    expect(await runAlone("approval", "approveExpense", ...args)).toMatchObject({ status: "paid" });
  });
});

describe("orders", () => {
  const order = (id: string, card: string, article: string) => ({
    id,
    card,
    lines: [{ article, count: 2, price: 30 }],
  });

  test("the child workflow's task is retried until the bank answers", async () => {
    const ended = await run("orders/fulfilOrder", order("o-1", "4242", "lamp"));
    expect(await outputOf(ended)).toEqual({ status: "sent", parcel: "parcel-o-1", paid: 60, attempts: 3 });
    const child = (await tasksOf(ended.id)).find((task) => task.kind === "child");
    const charge = (await tasksOf(child?.child ?? "")).find((task) => task.name === "charge");
    expect(charge?.attempts.map(({ outcome }) => outcome)).toEqual(["failed", "failed", "succeeded"]);
  });

  test("an article that is out of stock is refunded", async () => {
    const ended = await run("orders/fulfilOrder", order("o-2", "4242", "piano"));
    const refunded = { status: "refunded", reason: "0 of 'piano' are left", refund: "refund-o-2" };
    expect(await outputOf(ended)).toEqual(refunded);
    const pack = (await tasksOf(ended.id)).find((task) => task.name === "pack");
    expect(pack).toMatchObject({ attempt: 1, failure: { type: "OutOfStock", details: { article: "piano", left: 0 } } });
  });

  test("a declined card is told from other failures by its name, through the child workflow", async () => {
    const declined = { status: "declined", reason: "card 0000 was declined" };
    expect(await outputOf(await run("orders/fulfilOrder", order("o-3", "0000", "lamp")))).toEqual(declined);
    const args = ["--input", JSON.stringify(order("o-4", "0000", "lamp"))];
    expect(await runAlone("orders", "fulfilOrder", ...args)).toEqual(declined);
  });
});
