import { afterEach, describe, expect, it } from "vitest";
import type { RunView } from "#shared/protocol/api.ts";
import { runCli } from "../main.ts";
import {
  type FakeApi,
  type Handler,
  otherRunId,
  runId,
  runView,
  sendEvents,
  sendProblem,
  startFakeApi,
  taskView,
} from "../testing/fake-api.ts";
import { fakeCli, salt } from "../testing/fake-cli.ts";

let api: FakeApi | null = null;
afterEach(async () => {
  await api?.close();
  api = null;
});

const workflows = (): unknown => ({
  rows: [{ project: "shop", name: "invoice", release: "rel_1", registeredAtMs: 0 }],
  cursor: null,
});
const journal = (state: string) => [
  { id: 1, data: { position: 1, atMs: 1_000, e: "opened", workflow: "invoice" } },
  { id: 2, data: { position: 2, atMs: 1_001, e: "called", key: "score#1", kind: "task", name: "score" } },
  { id: 3, data: { position: 3, atMs: 1_002, e: "settled", key: "score#1", outcome: "succeeded" } },
  { id: 4, data: { position: 4, atMs: 1_003, e: "ended", state } },
];
const esc = String.fromCharCode(27);
const chunk = { key: "score#1", fence: 1, stream: "stdout", offset: 0, atMs: 1_001 };

/** A coordinator with one workflow, whose runs end as `ended`. */
function shop(ended: Partial<RunView>, more: Record<string, Handler> = {}): Record<string, Handler> {
  return {
    "GET /v1/workflows": workflows,
    "POST /v1/runs": () => runView({ status: "queued", endedAtMs: null, output: null }),
    "GET /v1/runs/*": () => runView(ended),
    "GET /v1/runs/*/journal/stream": (_, answer) => sendEvents(answer, journal(String(ended.status ?? "succeeded"))),
    "GET /v1/runs/*/logs/stream": (_, answer) =>
      sendEvents(answer, [
        {
          id: 1,
          data: [
            { ...chunk, position: 1, text: "half " },
            { ...chunk, position: 1, text: "a line\n" },
          ],
        },
      ]),
    "GET /v1/runs/*/output": () => ({ total: 42 }),
    ...more,
  };
}

async function call(argv: readonly string[], handlers: Record<string, Handler>, options = {}) {
  api = await startFakeApi(handlers);
  return await salt(argv, { env: { SALT_URL: api.url, SALT_TOKEN: "token", NO_COLOR: "1" }, ...options });
}

describe("salt run", () => {
  it("prints the output alone on stdout, and everything else on stderr", async () => {
    const ran = await call(["run", "invoice"], shop({}));
    expect(ran).toMatchObject({ code: 0, out: '{"total":42}\n' });
    expect(ran.err).toContain("score#1 succeeded");
    expect(ran.err).toContain("score#1 │ half a line\n");
    expect(ran.err).toContain(`${runId} succeeded in 1.0 s`);
  });

  it("sends input, project and an idempotency key", async () => {
    let asked: unknown;
    let key: unknown;
    const handlers = shop(
      {},
      {
        "POST /v1/runs": ({ body, headers }) => {
          asked = body;
          key = headers["idempotency-key"];
          return runView();
        },
      },
    );
    await call(["run", "shop/invoice", "--input", "-", "--detach", "--idempotency-key", "k"], handlers, {
      stdin: '{"n":1}',
    });
    expect(asked).toEqual({ project: "shop", workflow: "invoice", input: { n: 1 } });
    expect(key).toBe("k");
  });

  it("exits with the run's result: 6 when it failed or was cancelled, 7 when it timed out", async () => {
    const failure = {
      type: "CardDeclined",
      message: "no funds",
      retryable: false,
      cause: {
        type: "E",
        message: "deep\nof it",
        retryable: false,
        stack: "E: deep\nof it\n    at f (src/main.ts:7:9)",
      },
    };
    const failed = await call(["run", "invoice"], shop({ status: "failed", output: null, failure }));
    expect(failed).toMatchObject({ code: 6, out: "" });
    expect(failed.err).toContain(
      "CardDeclined: no funds\n  caused by E: deep\n    of it\n      at f (src/main.ts:7:9)\n→",
    );
    expect(failed.err).toContain(`→ salt runs retry ${runId}`);
    await api?.close();
    expect((await call(["run", "invoice"], shop({ status: "cancelled", output: null }))).code).toBe(6);
    await api?.close();
    const timedOut = shop({ status: "failed", output: null, failure: { ...failure, type: "TimedOut" } });
    expect((await call(["run", "invoice"], timedOut)).code).toBe(7);
  });

  it("stops watching when its time is up, with 7, and says that the run goes on", async () => {
    const open = shop(
      {},
      { "GET /v1/runs/*/journal/stream": (_, answer) => sendEvents(answer, journal("x").slice(0, 2), "open") },
    );
    const ran = await call(["run", "invoice", "--timeout", "200ms"], open);
    expect(ran.code).toBe(7);
    expect(ran.err).toContain("the run goes on");
  });

  it("says what the run, or a call of it, waits for, once, when nothing happens for some seconds", async () => {
    const task = (waits: string | null) => ({ "GET /v1/runs/*/tasks/*": () => taskView({ status: "ready", waits }) });
    const stream = (entries: readonly { id: number; data: unknown }[]): Record<string, Handler> => ({
      "GET /v1/runs/*/journal/stream": (_, answer) => sendEvents(answer, entries, "open"),
    });
    const lonely = shop({}, { ...stream(journal("x").slice(0, 1)), ...task("no agent is connected") });
    const ran = await call(["run", "invoice", "--timeout", "8s"], lonely);
    expect(ran.err.match(/The run waits: no agent is connected\n→ salt agent starts one\n/g)).toHaveLength(1);
    expect(api?.requests).toContain(`GET /v1/runs/${runId}/tasks/${encodeURIComponent("@workflow")}`);
    await api?.close();
    const called = { position: 2, atMs: 1_001, e: "called", key: "score#1", kind: "task", name: "score" };
    const stuck = [...journal("x").slice(0, 1), { id: 2, data: called }];
    const busy = shop({}, { ...stream(stuck), ...task("1 agent could take it; it is busy") });
    const plain = await call(["run", "invoice", "--timeout", "5s"], busy);
    expect(plain.err).toMatch(/ score#1 waits: 1 agent could take it; it is busy\n/);
  }, 20_000);

  it("detaches at Ctrl-C with 130 and says how to watch; a second one asks to cancel", async () => {
    let cancelled = false;
    api = await startFakeApi(
      shop(
        { status: "cancelled", output: null },
        {
          "GET /v1/runs/*/journal/stream": async (_, answer) => {
            sendEvents(answer, journal("x").slice(0, 1), "open");
            while (!cancelled) await new Promise((resolve) => setTimeout(resolve, 10));
            sendEvents(answer, journal("cancelled").slice(1));
          },
          "POST /v1/runs/*/cancel": () => {
            cancelled = true;
            return runView({ status: "cancelling" });
          },
        },
      ),
    );
    const env = { SALT_URL: api.url, SALT_TOKEN: "token" };
    const detaching = fakeCli({ env });
    const detached = runCli(["run", "invoice", "--no-logs"], detaching);
    await until(() => api?.requests.includes(`GET /v1/runs/${runId}/journal/stream`));
    detaching.interrupt();
    expect(await detached).toBe(130);
    expect(detaching.err()).toContain(`→ salt runs watch ${runId}`);
    expect(cancelled).toBe(false);
    const cancelling = fakeCli({ env });
    const before = api.requests.length;
    const ended = runCli(["run", "invoice", "--no-logs"], cancelling);
    await until(() => api?.requests.slice(before).includes(`GET /v1/runs/${runId}/journal/stream`));
    cancelling.interrupt();
    cancelling.interrupt();
    expect(await ended).toBe(130);
    expect(cancelled).toBe(true);
  });

  it("follows a run that restarts to the run that it goes on as", async () => {
    const ran = await call(
      ["run", "invoice", "--no-logs"],
      shop(
        {},
        {
          "GET /v1/runs/*": ({ path }) =>
            path.endsWith(runId)
              ? runView({ status: "restarted", next: otherRunId, output: null })
              : runView({ id: otherRunId }),
        },
      ),
    );
    expect(ran).toMatchObject({ code: 0, out: '{"total":42}\n' });
    expect(ran.err).toContain(`${runId} restarted as ${otherRunId}`);
  });

  it("shows a live table on a terminal, which stays as it was last", async () => {
    const ran = await call(
      ["run", "invoice"],
      shop(
        {},
        {
          "GET /v1/runs/*/journal/stream": async (_, answer) => {
            sendEvents(answer, journal("x").slice(0, 2), "open");
            await new Promise((resolve) => setTimeout(resolve, 250));
            sendEvents(answer, journal("succeeded").slice(2));
          },
        },
      ),
      { tty: true },
    );
    expect(ran.err).toMatch(/CALL\s+STATE\s+TIME/);
    expect(ran.err).toContain("0 of 1 calls");
    const last = ran.err.split(`${esc}[3A\r${esc}[J`).at(-1);
    expect(last).toMatch(
      /^CALL\s+STATE\s+TIME\s+score#1\s+succeeded\s+1 ms\s+succeeded\s+shop\/invoice\s.*1 of 1 calls/,
    );
  });
});

async function until(holds: () => unknown): Promise<void> {
  for (let tries = 0; !holds() && tries < 500; tries++) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(holds()).toBeTruthy();
}

describe("errors", () => {
  it("of the coordinator keep their text, and give each its exit code", async () => {
    const cases = [
      [404, "NotFound", 3],
      [401, "NotAuthenticated", 4],
      [403, "NotAllowed", 4],
      [400, "InvalidInput", 2],
      [409, "Conflict", 1],
    ] as const;
    for (const [status, code, exit] of cases) {
      const ran = await call(["runs", "get", "run_1"], {
        "GET /v1/runs/*": (_, answer) => sendProblem(answer, status, code, "It is so."),
      });
      expect([ran.code, ran.err.split("\n")[0]]).toEqual([exit, "It is so."]);
      await api?.close();
    }
  });

  it("are objects with code, message, next and requestId under --json", async () => {
    const ran = await call(["runs", "get", "--json", "run_1"], {
      "GET /v1/runs/*": (_, answer) => sendProblem(answer, 403, "NotAllowed", "No."),
    });
    expect(JSON.parse(ran.err)).toEqual({
      error: {
        code: "NotAllowed",
        message: "No.",
        next: expect.stringContaining("salt tokens create"),
        requestId: "req_1",
      },
    });
    expect(ran.out).toBe("");
  });

  it("say that nothing listens, and exit 5; with or without a token", async () => {
    const env = { SALT_URL: "http://127.0.0.1:1" };
    for (const token of [{}, { SALT_TOKEN: "t" }]) {
      const ran = await salt(["runs", "list"], { env: { ...env, ...token } });
      expect([ran.code, ran.err]).toEqual([5, expect.stringContaining("nothing listens there")]);
    }
  });

  it("say that there is no token, exit 4, and send nothing but a question for health", async () => {
    const ran = await call(["runs", "list"], { "GET /v1/health": () => ({}) }, { env: {} });
    expect(ran.code).toBe(5);
    const asked = await salt(["runs", "list"], { env: { SALT_URL: api?.url ?? "" } });
    expect([asked.code, api?.requests]).toEqual([4, ["GET /v1/health"]]);
  });

  it("A54 name an answer that is no coordinator's", async () => {
    for (const text of ["<html>", '{"rows":[1e999,{"__proto__":1}]}', "[".repeat(10_000)]) {
      const ran = await call(["runs", "list"], { "GET /v1/runs": (_, answer) => void answer.writeHead(200).end(text) });
      expect([ran.code, ran.err]).toEqual([1, expect.stringContaining("not what this salt expects")]);
      await api?.close();
    }
  });

  it("A72 never show the token", async () => {
    const env = { SALT_TOKEN: "salt_canary_canary_canary", SALT_DEBUG: "1" };
    for (const argv of [["runs", "list"], ["doctor"], ["config", "view"], ["run", "x", "--json"]]) {
      const ran = await salt(argv, { env: { SALT_URL: "http://127.0.0.1:1", ...env } });
      expect(ran.out + ran.err).not.toContain("canary_canary");
    }
  });
});

describe("lists", () => {
  it("go on over pages as far as --limit", async () => {
    const handlers: Record<string, Handler> = {
      "GET /v1/runs": ({ query }) => {
        const from = Number(query.get("cursor") ?? 0);
        const rows = Array.from({ length: Number(query.get("limit")) }, () => runView());
        return { rows, cursor: String(from + rows.length) };
      },
    };
    const ran = await call(["runs", "list", "--limit", "450", "--json", "id"], handlers);
    expect(JSON.parse(ran.out)).toHaveLength(450);
    expect(api?.requests).toHaveLength(3);
  });

  it("of runs show ids that can be given back, on a narrow terminal too", async () => {
    const handlers: Record<string, Handler> = { "GET /v1/runs": () => ({ rows: [runView()], cursor: null }) };
    const ran = await call(["runs", "list"], handlers, { tty: true });
    expect(runId.startsWith(ran.out.split("\n")[1]?.split(" ")[0] ?? "none")).toBe(true);
  });

  it("that are empty because they were narrowed do not say that there is nothing", async () => {
    const handlers: Record<string, Handler> = { "GET /v1/runs": () => ({ rows: [], cursor: null }) };
    expect((await call(["runs", "list", "--status", "failed"], handlers)).err).toBe("No such runs.\n");
    await api?.close();
    expect((await call(["runs", "list"], handlers)).err).toContain("salt run <workflow> starts one");
  });

  it("A44 show names of others without what would steer the terminal", async () => {
    const agent = {
      id: "agt_1",
      name: "a\u001b]0;owned\u0007b",
      pool: "default",
      platform: "linux-x64",
      version: "1",
      labels: { gpu: "", zone: "eu" },
      capacity: { tasks: 1, workflows: 4 },
      connected: true,
      seenAtMs: 0,
    };
    const ran = await call(["agents", "ls", "--label", "zone=eu"], {
      "GET /v1/agents": () => ({ rows: [agent], cursor: null }),
    });
    expect(ran.out).toMatch(/ ab +connected +now /);
    expect(ran.out).not.toContain("\u001b");
    await api?.close();
    const none = await call(["agents", "ls", "--label", "zone=us"], {
      "GET /v1/agents": () => ({ rows: [agent], cursor: null }),
    });
    expect(none.err).toContain("→ salt agent starts one");
  });
});

describe("salt logs", () => {
  const rows = Array.from({ length: 7 }, (_, index) => ({
    ...chunk,
    position: index + 1,
    offset: index,
    text: `line ${index + 1}\n`,
  }));
  const handlers: Record<string, Handler> = {
    "GET /v1/runs/*": () => runView(),
    "GET /v1/runs/*/logs": ({ query }) => {
      const after = Number(query.get("after"));
      const page = rows
        .slice(0, 5)
        .filter((row) => row.position > after)
        .slice(0, 3);
      return { rows: page, cursor: page.length === 3 ? String(page.at(-1)?.position) : null };
    },
    "GET /v1/runs/*/logs/stream": ({ headers }, answer) => {
      const after = Number(headers["last-event-id"]);
      const from = rows.filter((row) => row.position > after).map((row) => ({ id: row.position, data: [row] }));
      // The link breaks after each event.
      sendEvents(answer, from.slice(0, 1), from.length > 1 ? "breaks" : "ends");
    },
  };

  it("A2 with -f print what there is and what comes, over lost links, without gap or repeat", async () => {
    const ran = await call(["logs", runId, "-f"], handlers);
    expect(ran.out.split("\n").filter(Boolean)).toEqual(rows.map((row) => `score#1 │ ${row.text.trim()}`));
  });

  it("print a last line that has no end", async () => {
    const unended = { ...chunk, position: 1, offset: 0, text: "line 1\nno end" };
    const page: Handler = ({ query }) => ({ rows: query.get("after") === "0" ? [unended] : [], cursor: null });
    const some = { ...handlers, "GET /v1/runs/*/logs": page };
    expect((await call(["logs", runId], some)).out).toBe("score#1 │ line 1\nscore#1 │ no end\n");
    expect((await call(["logs", runId, "--tail", "1"], some)).out).toBe("score#1 │ no end\n");
  });

  it("say when nothing was written, and when there is no such task", async () => {
    const empty: Record<string, Handler> = {
      ...handlers,
      "GET /v1/runs/*/logs": () => ({ rows: [], cursor: null }),
      "GET /v1/runs/*/tasks/score#1": () => ({}),
    };
    expect(await call(["logs", runId], empty)).toMatchObject({ code: 0, out: "", err: "Nothing was written.\n" });
    await api?.close();
    expect((await call(["logs", runId, "--task", "nope#1"], empty)).code).toBe(3);
  });

  it("with --tail print the last lines", async () => {
    const ran = await call(["logs", runId, "--tail", "2"], handlers);
    expect(ran.out).toBe("score#1 │ line 4\nscore#1 │ line 5\n");
  });
});
