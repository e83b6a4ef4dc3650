import { afterEach, describe, expect, it } from "vitest";
import type { CallKey } from "#shared/domain/ids.ts";
import type { TaskView } from "#shared/protocol/api.ts";
import {
  type FakeApi,
  type Handler,
  otherRunId,
  runId,
  runView,
  sendEvents,
  startFakeApi,
  taskView,
} from "../testing/fake-api.ts";
import { salt } from "../testing/fake-cli.ts";

let api: FakeApi | null = null;
afterEach(() => api?.close());

async function call(argv: readonly string[], handlers: Record<string, Handler>) {
  api = await startFakeApi(handlers);
  return salt(argv, { env: { SALT_URL: api.url, SALT_TOKEN: "token" } });
}

const task = taskView({ progress: { fraction: 0.4, message: "half of it", atMs: 1 } });

describe("a task's progress", () => {
  const said = (fraction: number | null, message: string | null, atMs: number, key = "score#1") => ({
    id: 2,
    event: "progress",
    data: { key, fraction, message, atMs },
  });
  const entries = [
    { id: 1, data: { position: 1, atMs: 1_000, e: "opened" } },
    { id: 2, data: { position: 2, atMs: 1_001, e: "called", key: "score#1", kind: "task", name: "score" } },
    { id: 3, data: { position: 3, atMs: 9_000, e: "ended", state: "succeeded" } },
  ];
  const watched: Record<string, Handler> = {
    "GET /v1/runs/*": () => runView(),
    "GET /v1/runs/*/output": () => 42,
    "GET /v1/runs/*/journal/stream": (_, answer) =>
      sendEvents(answer, [
        ...entries.slice(0, 2),
        said(0.1, "first\nof all", 2_000),
        said(0.2, "too soon", 2_999),
        said(null, "another", 2_999, "load#1"),
        said(0.3, null, 3_000),
        ...entries.slice(2),
      ]),
  };

  it("is a line in plain output, at most once a second for each task", async () => {
    const ran = await call(["runs", "watch", runId, "--no-logs"], watched);
    const lines = ran.err.split("\n").map((line) => line.replace(/^\d\d:\d\d:\d\d /, ""));
    expect(lines.slice(0, 5)).toEqual([
      "score#1 called",
      "score#1 10 %  first of all",
      "load#1 another",
      "score#1 30 %",
      "run succeeded",
    ]);
    expect(ran).toMatchObject({ code: 0, out: "42\n" });
  });

  it("is no part of the journal as ndjson", async () => {
    const ran = await call(["runs", "watch", runId, "--output", "ndjson"], watched);
    const rows = ran.out.trimEnd().split("\n");
    expect(rows.map((row) => JSON.parse(row).e)).toEqual(["opened", "called", "ended"]);
  });

  it("stands with the running tasks of a run", async () => {
    const rows = [task, { ...task, key: "score#2", progress: null }];
    const handlers = { "GET /v1/runs/*": () => runView(), "GET /v1/runs/*/tasks": () => ({ rows, cursor: null }) };
    const ran = await call(["runs", "get", runId], handlers);
    expect(ran.out).toMatch(/TASK .* AGENT +PROGRESS +FAILURE\n/);
    expect(ran.out).toMatch(/score#1 +running .* ada +40 % {2}half of it\n/);
    expect(ran.out).toMatch(/score#2 +running .* ada\n/);
  });
});

describe("warnings", () => {
  it("are told with a run, each with the task and the check that it is of", async () => {
    const checks: TaskView["checks"] = [
      { name: "fresh", result: "warn", message: "two days old" },
      { name: "whole", result: "pass" },
    ];
    const rows = [{ ...task, checks }];
    const handlers = {
      "GET /v1/runs/*": () => runView({ warnings: 1 }),
      "GET /v1/runs/*/tasks": () => ({ rows, cursor: null }),
    };
    const ran = await call(["runs", "get", runId], handlers);
    expect(ran.out).toMatch(/^warnings +1\n +score#1: fresh: two days old\n/m);
    expect(ran.out).not.toContain("whole");
  });
});

it("salt runs get names the run of each child workflow", async () => {
  const rows = [task, { ...task, key: "pay#1", kind: "child", attempt: 0, agent: null, child: otherRunId }];
  const handlers = { "GET /v1/runs/*": () => runView(), "GET /v1/runs/*/tasks": () => ({ rows, cursor: null }) };
  const ran = await call(["runs", "get", runId], handlers);
  expect(ran.out).toMatch(/TASK .* AGENT +CHILD RUN +PROGRESS +FAILURE\n/);
  expect(ran.out).toMatch(new RegExp(`pay#1 +running +\\d[^\n]* ${otherRunId}`));
});

it("salt runs list goes on over pages that are short or empty, until it has as many as were asked for", async () => {
  const pages = [
    { rows: [], cursor: "a" },
    { rows: [runView({ status: "failed" })], cursor: "b" },
    { rows: [], cursor: "c" },
    { rows: [runView({ id: otherRunId, status: "failed" })], cursor: "d" },
  ];
  const cursors: (string | null)[] = [];
  const ran = await call(["runs", "list", "--status", "failed", "-n", "2", "--json", "id"], {
    "GET /v1/runs": ({ query }) => pages[cursors.push(query.get("cursor")) - 1],
  });
  expect(JSON.parse(ran.out)).toEqual([{ id: runId }, { id: otherRunId }]);
  expect(cursors).toEqual([null, "a", "b", "c"]);
});

describe("salt runs get", () => {
  const of = (rows: readonly TaskView[], status: "queued" | "succeeded" = "succeeded"): Record<string, Handler> => ({
    "GET /v1/runs/*": () => runView(status === "queued" ? { status, endedAtMs: null, output: null } : {}),
    "GET /v1/runs/*/output": () => 42,
    "GET /v1/runs/*/tasks": () => ({ rows, cursor: null }),
    "GET /v1/runs/*/tasks/*": () => taskView({ waits: "no agent is connected" }),
  });

  it("says what the run and each of its tasks wait for", async () => {
    const busy = "1 agent could take it; it is busy";
    const rows = [taskView(), taskView({ key: "score#2" as CallKey, status: "ready", agent: null, waits: busy })];
    const told = await call(["runs", "get", runId], of(rows, "queued"));
    expect(told.out).toMatch(/^status +queued\nwaits +no agent is connected\n/m);
    expect(told.out).toMatch(/AGENT +WAITS +FAILURE\n/);
    expect(told.out).toMatch(/^score#2 .* {2}1 agent could take it; it is busy$/m);
    await api?.close();
    const json = JSON.parse((await call(["runs", "get", runId, "--json", "waits,tasks"], of(rows, "queued"))).out);
    expect([json.waits, json.tasks[1].waits]).toEqual(["no agent is connected", busy]);
    await api?.close();
    expect((await call(["runs", "get", runId], of([taskView()]))).out).not.toMatch(/waits/i);
  });

  it("names agents: by name, with the id where two share one, by id where the name is forgotten; as JSON by both", async () => {
    const ada = taskView();
    const twins = ["agt_2", "agt_3"].map((agent) => taskView({ agent, agentName: "twin" }));
    const rows = [ada, ada, ...twins, taskView({ agent: "agt_4", agentName: null })];
    const { out } = await call(["runs", "get", runId], of(rows));
    const shown = out.split("\n").filter((line) => line.startsWith("score#1"));
    expect(shown.map((line) => line.split(/ {2,}/).at(-1))).toEqual([
      "ada",
      "ada",
      "twin agt_2",
      "twin agt_3",
      "agt_4",
    ]);
    await api?.close();
    const [first] = JSON.parse((await call(["runs", "get", runId, "--json", "tasks"], of(rows))).out).tasks;
    expect(first).toMatchObject({ agent: "agt_1", agentName: "ada" });
  });
});
