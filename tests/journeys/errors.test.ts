import { writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { limits } from "#shared/domain/limits.ts";
import type { RunView, TaskView } from "#shared/protocol/api.ts";
import { isAlive, livingPrograms, memoryOf, startJourneys, tasksOf } from "../support/journeys.ts";
import type { Salt } from "../support/start-salt.ts";

let salt: Salt;
let pids: (number | undefined)[];
const processes = () => [salt.coordinator(), ...salt.agents].map(({ child }) => child.pid);

beforeAll(async () => {
  salt = await startJourneys({ coordinator: ["--park-after", "300ms"] });
  pids = processes();
}, 120_000);
afterAll(() => salt?.close());

/** Whatever went wrong, the same coordinator and the same agent go on with what is well. */
afterEach(async () => {
  const { id } = await salt.open("journeys/ordinary", { n: 7 });
  expect(await salt.settled(id)).toMatchObject({ status: "succeeded", output: { json: '{"n":7}' } });
  expect(processes()).toEqual(pids);
  for (const { child } of [salt.coordinator(), ...salt.agents]) expect(child.exitCode ?? child.signalCode).toBeNull();
  expect(salt.coordinator().stderr()).not.toMatch(/"level":(50|60)/);
});

/** Calls one task type in a run, which fails of it; returns the run and the task. */
async function failWith(name: string, input?: unknown): Promise<{ run: RunView; task: TaskView }> {
  const { id } = await salt.open("journeys/single", { name, input: input ?? null });
  const run = await salt.settled(id, undefined, 60_000);
  expect(run, JSON.stringify(run.output)).toMatchObject({ status: "failed", failure: { type: "TaskFailed" } });
  const [task] = await tasksOf(salt, id);
  if (task === undefined) throw new Error("the run has no task");
  expect(run.failure?.cause).toMatchObject({ type: task.failure?.type });
  return { run, task };
}

const problemOf = async (workflow: string, input: unknown): Promise<unknown> =>
  await salt.open(workflow, input).then(
    () => null,
    (error: unknown) => error,
  );

const request = (method: string, path: string, token: string | null, body?: string) =>
  fetch(salt.url + path, {
    method,
    headers: {
      "content-type": "application/json",
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(body === undefined ? {} : { body }),
  });

describe("a workflow", () => {
  test("whose code does otherwise than its journal says fails with NonDeterministicWorkflow, which names both sides", async () => {
    const file = path.join(salt.folder, "what-to-call");
    writeFileSync(file, "echo");
    const { id } = await salt.open("journeys/fickle", { file });
    // On a slow machine it also parks for the call.
    await salt.settled(id, ({ status, counts }) => status === "parked" && counts.succeeded === 1);
    writeFileSync(file, "measure");
    await salt.saltOk(["signal", id, "go"]);
    const { failure } = await salt.settled(id);
    expect(failure).toMatchObject({
      type: "NonDeterministicWorkflow",
      retryable: false,
      message: expect.stringMatching(/echo.*measure|measure.*echo/s),
    });
  });

  test("that calls a task type which there is not learns so by name, in its own project and in others", async () => {
    for (const name of ["nothing", "nowhere/thing", "journeys/nothing"]) {
      const { task } = await failWith(name);
      expect(task.failure, name).toMatchObject({ type: "UnknownTaskType", retryable: false });
      expect(task.failure?.message).toContain(name.split("/").at(-1));
    }
  });

  test("that is not registered cannot be opened, and the command line says where to look", async () => {
    expect(await problemOf("journeys/nothing", {})).toMatchObject({ code: "UnknownWorkflow" });
    const end = await salt.salt(["run", "journeys/ordinari"]);
    expect({ code: end.code, stderr: end.stderr }).toEqual({ code: 3, stderr: expect.stringContaining("ordinary") });
  });
});

describe("a value", () => {
  test("that the input's schema refuses is InvalidInput at the API, with the path to what is wrong", async () => {
    const body = JSON.stringify({ project: "journeys", workflow: "ordinary", input: { n: "seven" } });
    const answer = await request("POST", "/v1/runs", salt.token, body);
    expect(answer.status).toBe(400);
    expect(answer.headers.get("content-type")).toContain("application/problem+json");
    expect(await answer.json()).toMatchObject({
      code: "InvalidInput",
      details: { issues: [{ path: "/n", message: expect.stringContaining("number") }] },
    });
    const end = await salt.salt(["run", "journeys/ordinary", "--input", '{"n":"seven"}']);
    expect({ code: end.code, stderr: end.stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining("/n") });
  });

  test("that the output's schema refuses fails the attempt with ValidationError, naming the path", async () => {
    const { task } = await failWith("wrong");
    expect(task.failure?.type).toBe("ValidationError");
    expect(JSON.stringify(task.failure)).toContain("rows");
    expect(JSON.stringify(task.failure)).toMatch(/rows.{1,6}1.{1,6}id/);
  });

  test("that has no encoding is UnencodableValue, naming the path", async () => {
    const { task } = await failWith("unencodable");
    expect(task.failure).toMatchObject({
      type: "UnencodableValue",
      message: expect.stringContaining("$.orders[1].when"),
    });
  });

  test("that is larger than a request may be is TooLarge, and the answer names the limit", async () => {
    const input = { n: 1, more: "x".repeat(limits.requestBytesMax) };
    const body = JSON.stringify({ project: "journeys", workflow: "ordinary", input });
    const answer = await request("POST", "/v1/runs", salt.token, body);
    expect(answer.status).toBe(413);
    const detail = expect.stringContaining(`${limits.requestBytesMax} bytes (requestBytesMax)`);
    expect(await answer.json()).toMatchObject({ code: "TooLarge", detail });
  });

  test("that is larger than a value may be is OutputTooLarge, and one just below goes from task to task", async () => {
    const { task } = await failWith("large", { bytes: limits.valueBytesMax + 10 });
    expect(task.failure).toMatchObject({
      type: "OutputTooLarge",
      message: expect.stringContaining(`${limits.valueBytesMax} (valueBytesMax)`),
    });
    const { id } = await salt.open("journeys/relay", { bytes: 20 * 1024 ** 2 });
    expect(await salt.settled(id)).toMatchObject({ status: "succeeded", output: { json: String(20 * 1024 ** 2) } });
  }, 60_000);
});

describe("a token", () => {
  test("that is wrong, missing or revoked is 401, by HTTP and on the command line", async () => {
    const { token, id } = await salt.client.call("createToken", { body: { name: "short-lived", role: "viewer" } });
    expect((await request("GET", "/v1/runs", token)).status).toBe(200);
    await salt.client.call("revokeToken", { params: { token: id } });
    for (const wrong of [token, `${salt.token}x`, "salt_nothing", null]) {
      const answer = await request("GET", "/v1/runs", wrong);
      expect(answer.status).toBe(401);
      expect(await answer.json()).toMatchObject({ code: "NotAuthenticated", next: expect.any(String) });
    }
    const end = await salt.salt(["runs", "list", "--token", token]);
    expect(end).toMatchObject({ code: 4, stdout: "" });
  });

  test("of a role that may not is 403, and says which may", async () => {
    const tokenOf = async (role: "viewer" | "operator" | "agent") =>
      (await salt.client.call("createToken", { body: { name: role, role } })).token;
    const refused = [
      ["POST", "/v1/runs", await tokenOf("viewer"), '{"project":"journeys","workflow":"ordinary","input":{"n":1}}'],
      ["POST", "/v1/tokens", await tokenOf("operator"), '{"name":"x","role":"admin"}'],
      ["GET", "/v1/audit", await tokenOf("operator")],
      ["GET", "/v1/runs", await tokenOf("agent")],
    ] as const;
    for (const [method, path, token, body] of refused) {
      const answer = await request(method, path, token, body);
      expect([answer.status, path]).toEqual([403, path]);
      expect(await answer.json()).toMatchObject({ code: "NotAllowed" });
    }
    const end = await salt.salt(["tokens", "create", "more", "--role", "admin", "--token", await tokenOf("operator")]);
    expect(end).toMatchObject({ code: 4, stdout: "" });
  });

  test("that is no agent's ends an agent at once, with what to do", async () => {
    const { token } = await salt.client.call("createToken", { body: { name: "viewer", role: "viewer" } });
    const args = ["agent", "--name", "stranger", "--data", path.join(salt.folder, "stranger"), "--token", token];
    const end = await salt.salt(args, { timeoutMs: 20_000 });
    expect(end).toMatchObject({ code: 4, stderr: expect.stringContaining("--role agent") });
  });
});

describe("a program", () => {
  test("that exits without answering is ProgramExited, with its status and last words", async () => {
    const { task } = await failWith("exits", { code: 3 });
    expect(task.failure).toMatchObject({
      type: "ProgramExited",
      details: { code: 3, signal: null, stderr: expect.stringContaining("about to leave") },
    });
  });

  test.each([false, true])("that never answers is TimedOut, and gone (busy: %s)", async (busy) => {
    const before = performance.now();
    const { task } = await failWith("silent", { busy });
    expect(task.failure).toMatchObject({ type: "TimedOut", message: expect.stringContaining("700") });
    expect(performance.now() - before).toBeLessThan(15_000);
  });

  test("A43 that prints more than is kept is cut, once, and the cut is told", async () => {
    const { id } = await salt.open("journeys/single", { name: "floods", input: { bytes: 6 * 1024 ** 2 } });
    expect(await salt.settled(id)).toMatchObject({ status: "succeeded" });
    const { stdout } = await salt.salt(["logs", id, "--output", "ndjson"]);
    const rows = stdout.trimEnd().split("\n");
    expect(rows.filter((row) => row.includes('"cut":true'))).toHaveLength(1);
    expect(stdout.length).toBeLessThan(2 * limits.logBytesPerTaskMax);
  });

  test("A43 that floods its log ends with LogLimitExceeded, and the agent's memory stays bounded", async () => {
    const agent = salt.agents[0]?.child.pid ?? 0;
    const before = memoryOf(agent);
    let most = before;
    const sampling = setInterval(() => {
      most = Math.max(most, memoryOf(agent));
    }, 50);
    const { task } = await failWith("floods", { bytes: 2 * limits.logFileBytesMax });
    clearInterval(sampling);
    expect(task.failure).toMatchObject({ type: "LogLimitExceeded" });
    console.info(`agent: ${before >> 20} MiB before the flood, ${most >> 20} MiB at the most`);
    expect(most - before).toBeLessThan(200 * 1024 ** 2);
  }, 60_000);

  test("that answers twice is believed the first time, and not used again", async () => {
    const { id } = await salt.open("journeys/single", { name: "twice", input: null });
    await salt.settled(id);
    const { said, pid } = (await salt.output(id)) as { said: string; pid: number };
    expect(said).toBe("first");
    const [task] = await tasksOf(salt, id);
    expect(task?.attempts).toHaveLength(1);
    await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false);
  });

  test("that failed leaves no process behind", async () => {
    await expect.poll(() => livingPrograms(salt).length, { timeout: 10_000 }).toBeLessThanOrEqual(5);
  });
});
