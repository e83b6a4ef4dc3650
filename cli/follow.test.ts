import { afterEach, expect, it } from "vitest";
import { createClient } from "./client.ts";
import { followStream } from "./follow.ts";
import { type FakeApi, runId, sendEvents, sendProblem, startFakeApi } from "./testing/fake-api.ts";

let api: FakeApi | null = null;
afterEach(() => api?.close());

const clientFor = (url: string) =>
  createClient({ url: { value: url, origin: "test" }, token: { value: "t", origin: "test" } });
const events = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => ({ id: from + index, data: { n: from + index } }));

it("goes on after a lost link where it was, without gap or repeat, and ends with the stream", async () => {
  const asked: (string | undefined)[] = [];
  api = await startFakeApi({
    "GET /v1/runs/*/journal/stream": ({ headers }, answer) => {
      asked.push(headers["last-event-id"] as string | undefined);
      if (asked.length === 1) return sendEvents(answer, events(1, 3), "breaks");
      if (asked.length === 2) return sendProblem(answer, 503, "Unavailable", "starting");
      // Again what was sent before: a coordinator may begin too early.
      return sendEvents(answer, events(2, 5));
    },
  });
  const seen: number[] = [];
  const links: string[] = [];
  const options = { signal: new AbortController().signal, onLink: (state: string) => void links.push(state) };
  for await (const { position } of followStream(
    clientFor(api.url),
    "followJournal",
    { params: { run: runId } },
    options,
  )) {
    seen.push(position);
  }
  expect(seen).toEqual([1, 2, 3, 4, 5]);
  expect(asked).toEqual([undefined, "3", "3"]);
  expect(links).toEqual(["lost", "back"]);
});

it("hands on what is about the moment as it comes, and asks again from the last entry", async () => {
  const asked: (string | undefined)[] = [];
  const progress = (id: number) => ({ id, event: "progress", data: {} });
  api = await startFakeApi({
    "GET /v1/runs/*/journal/stream": ({ headers }, answer) => {
      asked.push(headers["last-event-id"] as string | undefined);
      if (asked.length === 1) return sendEvents(answer, [...events(1, 2), progress(2), progress(2)], "breaks");
      return sendEvents(answer, [progress(2), ...events(3, 3)]);
    },
  });
  const seen: string[] = [];
  const options = { signal: new AbortController().signal };
  const stream = followStream(clientFor(api.url), "followJournal", { params: { run: runId } }, options);
  for await (const { event, position } of stream) seen.push(`${event} ${position}`);
  expect(seen).toEqual(["entry 1", "entry 2", "progress 2", "progress 2", "progress 2", "entry 3"]);
  expect(asked).toEqual([undefined, "2"]);
});

it("throws a refusal at once", async () => {
  api = await startFakeApi({});
  const stream = followStream(
    clientFor(api.url),
    "followJournal",
    { params: { run: runId } },
    { signal: new AbortController().signal },
  );
  await expect(stream.next()).rejects.toMatchObject({ code: "NotFound" });
});

it("lets go of the connection when its reader leaves, also of an answer that has come whole", async () => {
  api = await startFakeApi({ "GET /v1/runs/*/journal/stream": (_, answer) => sendEvents(answer, events(1, 5)) });
  const client = clientFor(api.url);
  const answers: { destroyed: boolean }[] = [];
  const watched: typeof client = {
    ...client,
    async open(name, request) {
      const answer = await client.open(name, request);
      answers.push(answer);
      return answer;
    },
  };
  const options = { signal: new AbortController().signal };
  for await (const { position } of followStream(watched, "followJournal", { params: { run: runId } }, options)) {
    if (position === 3) break;
  }
  expect(answers.map(({ destroyed }) => destroyed)).toEqual([true]);
});
