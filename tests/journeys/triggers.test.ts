import { createHmac } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { derivedRunId, partitionAt } from "#shared/domain/ids.ts";
import type { RunView } from "#shared/protocol/api.ts";
import { type Journeys, registerJourneys, startJourneys } from "../support/journeys.ts";

let salt: Journeys;
beforeAll(async () => {
  salt = await startJourneys();
}, 120_000);
afterAll(() => salt?.close());

const restart = async () => {
  await salt.coordinator().stop("SIGKILL");
  await salt.startCoordinator();
};
const runsOf = async (project: string) => (await salt.client.call("listRuns", { query: { project, limit: 500 } })).rows;

test("cron fires once for each occasion, over three ends of the coordinator by kill -9", async () => {
  const cron = {
    name: "tick",
    kind: "cron",
    workflow: "ordinary",
    cron: "* * * * * *",
    timezone: "UTC",
    input: { n: 3 },
  };
  const ticking = { ...salt.manifest, project: "ticking" };
  const fromMs = Date.now();
  await registerJourneys(salt, { ...ticking, triggers: [cron as never] });
  await sleep(3_200);
  let withoutCoordinator = 0;
  for (let ends = 0; ends < 3; ends++) {
    const endedAtMs = Date.now();
    await restart();
    withoutCoordinator += Math.ceil((Date.now() - endedAtMs) / 1_000);
    await sleep(1_300);
  }
  await registerJourneys(salt, { ...ticking, triggers: [] });
  const toMs = Date.now();
  const occasions: string[] = [];
  for (let atMs = Math.ceil(fromMs / 1_000) * 1_000; atMs <= toMs; atMs += 1_000) {
    occasions.push(derivedRunId(partitionAt(0), "ticking", "cron:ticking/tick", new Date(atMs).toISOString()));
  }
  const fired = await runsOf("ticking");
  console.info(`${occasions.length} occasions, ${fired.length} runs`);
  // Of those that passed without a coordinator only the last is fired; of the others none is lost, and none is two.
  expect(fired.map(({ id }) => id).filter((id) => !occasions.includes(id))).toEqual([]);
  expect(fired.length).toBeGreaterThanOrEqual(occasions.length - 2 - withoutCoordinator);
  for (const { id } of fired) expect(await salt.settled(id)).toMatchObject({ status: "succeeded" });
}, 40_000);

/** Signs as Standard Webhooks says, by hand. */
async function deliver(
  id: string,
  body: string,
  secret = salt.registered.triggers[0]?.secret ?? "",
): Promise<Response> {
  const timestamp = Math.floor(Date.now() / 1_000);
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
  return await fetch(`${salt.url}/v1/triggers/journeys/hook/webhook`, {
    method: "POST",
    headers: { "webhook-id": id, "webhook-timestamp": `${timestamp}`, "webhook-signature": `v1,${signature}` },
    body,
  });
}

test("A67 a webhook's delivery is one run however often it comes, also over an end of the coordinator", async () => {
  const before = (await runsOf("journeys")).length;
  const first = (await (await deliver("d1", '{"n":5}')).json()) as { run: string; created: boolean };
  expect(first).toMatchObject({ created: true });
  expect(await (await deliver("d1", '{"n":5}')).json()).toEqual({ run: first.run, created: false });
  await restart();
  expect(await (await deliver("d1", '{"n":5}')).json()).toEqual({ run: first.run, created: false });
  expect(await (await deliver("d2", '{"n":5}')).json()).toMatchObject({ created: true });
  const refused = await deliver("d3", '{"n":5}', `whsec_${Buffer.from("another").toString("base64")}`);
  expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([401, "BadSignature"]);
  expect(await salt.output(first.run)).toEqual({ n: 5 });
  expect((await runsOf("journeys")).length).toBe(before + 2);
});

test("A70 A1 a repeated POST under one key is one run, also when the answer to the first was lost with the coordinator", async () => {
  const open = (n: number): Promise<RunView> =>
    salt.client.call("openRun", {
      body: { project: "journeys", workflow: "ordinary", input: { n } },
      headers: { "idempotency-key": "order-1" },
    });
  const before = (await runsOf("journeys")).length;
  const lost = open(1).catch(() => null);
  await salt.coordinator().stop("SIGKILL");
  const first = await lost;
  await salt.startCoordinator();
  const [second, third] = [await open(1), await open(1)];
  expect(new Set([first?.id ?? second.id, second.id, third.id]).size).toBe(1);
  await expect(open(2)).rejects.toMatchObject({ code: "IdempotencyKeyReused" });
  expect((await runsOf("journeys")).length).toBe(before + 1);
  expect(await salt.settled(second.id)).toMatchObject({ status: "succeeded" });
});
