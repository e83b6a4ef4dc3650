import http from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { livingPrograms, memoryOf, startJourneys, until } from "../support/journeys.ts";
import type { Salt } from "../support/start-salt.ts";

/** SALT_SLEEPING_RUNS says another number. */
const runs = Number(process.env.SALT_SLEEPING_RUNS ?? 10_000);
const atOnce = 64;

let salt: Salt;
const connections = new http.Agent({ keepAlive: true, maxSockets: atOnce });
beforeAll(async () => {
  salt = await startJourneys({ slots: 2 });
}, 120_000);
afterAll(async () => {
  connections.destroy();
  await salt?.close();
});

/** Opens a run over one of a few kept connections. */
function open(ms: number): Promise<string> {
  const body = JSON.stringify({ project: "journeys", workflow: "sleeper", input: { ms } });
  const headers = { authorization: `Bearer ${salt.token}`, "content-type": "application/json" };
  return new Promise((resolve, reject) => {
    const request = http.request(
      `${salt.url}/v1/runs`,
      { method: "POST", agent: connections, headers },
      async (answer) => {
        let text = "";
        for await (const chunk of answer) text += chunk;
        if (answer.statusCode === 201) resolve(JSON.parse(text).id);
        else reject(new Error(text));
      },
    );
    request.on("error", reject).end(body);
  });
}

type Status = "parked" | "queued" | "running";

async function countOf(status: Status): Promise<number> {
  let count = 0;
  let cursor: string | null = null;
  do {
    const query: { status: Status; limit: number; cursor?: string } = { status, limit: 500 };
    if (cursor !== null) query.cursor = cursor;
    const page: { rows: unknown[]; cursor: string | null } = await salt.client.call("listRuns", { query });
    count += page.rows.length;
    cursor = page.cursor;
  } while (cursor !== null);
  return count;
}

const isParked = async (run: string): Promise<boolean> =>
  (await salt.client.call("getRun", { params: { run } })).status === "parked";

test(`C20 ${runs} sleeping runs hold no process, and one of them is woken or cancelled as if it were alone`, async () => {
  const megabytes = () => Math.round(memoryOf(salt.coordinator().child.pid ?? 0) / 1024 ** 2);
  const beforeMb = megabytes();
  const startedAtMs = performance.now();
  const ids: string[] = [];
  const opening = Array.from({ length: atOnce }, async () => {
    while (ids.length < runs) {
      const index = ids.push("") - 1;
      ids[index] = await open(3_600_000);
    }
  });
  await Promise.all(opening);
  const openedMs = performance.now() - startedAtMs;
  // Counting costs as much as there are runs: it is begun when the last few are asleep.
  for (const run of ids.slice(-10)) await until("the last runs are parked", () => isParked(run), 120_000);
  await until("every run is parked", async () => (await countOf("parked")) === runs, 30_000);
  const parkedMs = performance.now() - startedAtMs;
  console.info(
    `${runs} runs: opened in ${Math.round(openedMs)} ms, all parked after ${Math.round(parkedMs)} ms; ` +
      `coordinator ${beforeMb} MiB before, ${megabytes()} MiB after; programs ${JSON.stringify(livingPrograms(salt))}`,
  );
  const programs = livingPrograms(salt);
  expect(programs.filter(({ kind }) => kind === "task")).toEqual([]);
  expect(programs.length).toBeLessThanOrEqual(2);
  expect(megabytes() - beforeMb).toBeLessThan(600);

  const short = await salt.open("journeys/sleeper", { ms: 2_500 });
  const [first = "", last = ""] = [ids[0], ids.at(-1)];
  for (const run of [first, last]) await salt.client.call("cancelRun", { params: { run }, body: {} });
  expect(await salt.settled(first)).toMatchObject({ status: "cancelled" });
  expect(await salt.settled(last)).toMatchObject({ status: "cancelled" });
  expect(await salt.settled(short.id)).toMatchObject({ status: "succeeded", output: { json: '"slept"' } });
  expect(await countOf("parked")).toBe(runs - 2);
}, 300_000);
