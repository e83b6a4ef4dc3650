import http, { type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { CallKey, RunId } from "#shared/domain/ids.ts";
import type { RunView, TaskView } from "#shared/protocol/api.ts";
import { readText } from "../client.ts";

export interface FakeRequest {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: unknown;
}

/** Answers a request: what it returns is sent as JSON, unless it has written the answer itself. */
export type Handler = (request: FakeRequest, answer: ServerResponse) => unknown;

export interface FakeApi {
  readonly url: string;
  /** `METHOD path` of every request, in order. */
  readonly requests: string[];
  close(): Promise<void>;
}

/** A coordinator's API on a real socket, with the handlers of a test: keys are `GET /v1/runs`, `*` in a path fits one part. */
export async function startFakeApi(handlers: Readonly<Record<string, Handler>>): Promise<FakeApi> {
  const requests: string[] = [];
  const server = http.createServer((request, answer) => {
    void (async () => {
      const url = new URL(request.url ?? "/", "http://fake");
      const named = `${request.method} ${url.pathname}`;
      requests.push(named);
      const text = await readText(request);
      const handler = Object.entries(handlers).find(([pattern]) => fits(pattern, named))?.[1];
      if (!handler) return sendProblem(answer, 404, "NotFound", `nothing is at ${named}`);
      const value = await handler(
        { path: url.pathname, query: url.searchParams, headers: request.headers, body: parse(text) },
        answer,
      );
      if (!answer.headersSent)
        answer.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value ?? {}));
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const fits = (pattern: string, named: string): boolean => {
  const [a, b] = [pattern.split("/"), named.split("/")];
  return a.length === b.length && a.every((part, index) => part === "*" || part === b[index]);
};

export function sendProblem(answer: ServerResponse, status: number, code: string, detail: string): void {
  const problem = { type: `/errors/${code}`, title: code, status, detail, code, requestId: "req_1" };
  answer.writeHead(status, { "content-type": "application/problem+json" }).end(JSON.stringify(problem));
}

/** Sends events (`entry` unless they say what they are) and, unless `open`, the end of the stream. */
export function sendEvents(
  answer: ServerResponse,
  events: readonly { readonly id: number; readonly event?: string; readonly data: unknown }[],
  how: "ends" | "breaks" | "open" = "ends",
): void {
  if (!answer.headersSent) answer.writeHead(200, { "content-type": "text/event-stream" });
  answer.write(": stream\n\n");
  for (const { id, event = "entry", data } of events) {
    answer.write(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }
  if (how === "ends") answer.end("event: end\ndata: {}\n\n");
  if (how === "breaks") setImmediate(() => answer.destroy());
}

export const runId = `run_${"0".repeat(28)}` as RunId;
export const otherRunId = `run_${"1".repeat(28)}` as RunId;

/** A run as the API shows it. */
export const runView = (change: Partial<RunView> = {}): RunView => ({
  id: runId,
  project: "shop",
  workflow: "invoice",
  release: "rel_1",
  status: "succeeded",
  trigger: { kind: "manual", name: null, by: "ada" },
  priority: 0,
  createdAtMs: 1_000,
  endedAtMs: 2_000,
  input: { json: "{}" },
  output: { json: "42" },
  failure: null,
  parent: null,
  cancel: null,
  next: null,
  previous: null,
  counts: { calls: 0, succeeded: 0, failed: 0, cancelled: 0 },
  warnings: 0,
  ...change,
});

/** A task as the API shows it. */
export const taskView = (change: Partial<TaskView> = {}): TaskView => ({
  key: "score#1" as CallKey,
  kind: "task",
  name: "score",
  project: "shop",
  release: "rel_1",
  status: "running",
  waits: null,
  attempt: 1,
  agent: "agt_1",
  agentName: "ada",
  createdAtMs: 0,
  readyAtMs: 0,
  startedAtMs: null,
  endedAtMs: null,
  refs: [],
  checks: [],
  failure: null,
  attempts: [],
  output: null,
  child: null,
  progress: null,
  ...change,
});
