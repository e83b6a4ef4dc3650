import { describe, expect, it } from "vitest";
import type { RunId } from "#shared/domain/ids.ts";
import type { Trigger } from "#shared/protocol/manifest.ts";
import { createStand, manifestOf, register, type Stand } from "../api/api-stand.ts";
import { type RunRecord, runKey } from "../records.ts";
import { latestOccasion, nextOccasion } from "./cron.ts";
import { signDelivery } from "./signature.ts";
import { createTriggers } from "./triggers.ts";

const cron: Trigger = {
  kind: "cron",
  name: "often",
  workflow: "main",
  cron: "*/5 * * * *",
  timezone: "UTC",
  input: { n: 1 },
};
const webhook: Trigger = { kind: "webhook", name: "hook", workflow: "main" };
const minuteMs = 60_000;

async function runsOf(stand: Stand): Promise<RunRecord[]> {
  const { rows } = await stand.engine.range("{p0}runs" as never, { limit: 100 });
  const { found } = await stand.engine.get(rows.map(({ member }) => runKey(member as RunId)));
  return found.map(({ value }) => JSON.parse(value ?? "null") as RunRecord);
}

const utc = (text: string): number => Date.parse(text);
const iso = (ms: number | null): string => new Date(ms ?? Number.NaN).toISOString();

describe("cron occasions", () => {
  it("occur right after a gap of the clocks, and once where an hour comes twice", () => {
    const rule = { cron: "30 2 * * *", timezone: "Europe/Berlin" };
    const spring = nextOccasion(rule, utc("2026-03-28T12:00:00Z")) ?? 0;
    expect(iso(spring)).toBe("2026-03-29T01:00:00.000Z");
    expect(iso(nextOccasion(rule, spring))).toBe("2026-03-30T00:30:00.000Z");
    const autumn = nextOccasion(rule, utc("2026-10-24T12:00:00Z")) ?? 0;
    expect(iso(autumn)).toBe("2026-10-25T00:30:00.000Z");
    expect(iso(nextOccasion(rule, autumn))).toBe("2026-10-26T01:30:00.000Z");
  });

  it("answer the latest that has passed, and never one before the first missed", () => {
    const rule = { cron: "*/5 * * * *", timezone: "UTC" };
    const from = utc("2026-01-01T00:05:00Z");
    expect(iso(latestOccasion(rule, from, utc("2026-01-08T00:14:59.999Z")))).toBe("2026-01-08T00:10:00.000Z");
    expect(iso(latestOccasion(rule, from, utc("2026-01-08T00:15:00Z")))).toBe("2026-01-08T00:15:00.000Z");
    expect(latestOccasion(rule, from, from)).toBe(from);
    expect(latestOccasion(rule, from, from + 1)).toBe(from);
  });
});

describe("fireDue", () => {
  it("fires nothing before its time, and then each occasion once", async () => {
    const stand = await createStand();
    await register(stand, manifestOf({ triggers: [cron] }));
    expect(await stand.triggers.fireDue()).toMatchObject({ fired: 0, nextInMs: expect.any(Number) });
    stand.clock.advance(5 * minuteMs);
    expect((await stand.triggers.fireDue()).fired).toBe(1);
    expect((await stand.triggers.fireDue()).fired).toBe(0);
    const [run] = await runsOf(stand);
    expect(run).toMatchObject({
      workflow: "main",
      input: { json: '{"n":1}' },
      trigger: { kind: "cron", name: "often", by: "cron:shop/often" },
    });
    const { rows } = await stand.triggers.listTriggers({ limit: 10 });
    expect(rows[0]).toMatchObject({ lastRun: run?.id, lastProblem: null, nextAtMs: expect.any(Number) });
  });

  it("says when to come again, also right after firing, so that a trigger that fires each second misses none", async () => {
    const stand = await createStand();
    await register(stand, manifestOf({ triggers: [{ ...cron, cron: "* * * * * *" }] }));
    for (let occasion = 1; occasion <= 5; occasion += 1) {
      const { nextInMs } = await stand.triggers.fireDue();
      expect(nextInMs).toBeGreaterThan(0);
      expect(nextInMs).toBeLessThanOrEqual(1_000);
      stand.clock.advance(nextInMs ?? 0);
      const after = await stand.triggers.fireDue();
      expect(after).toMatchObject({ fired: 1, nextInMs: expect.any(Number) });
    }
    expect(await runsOf(stand)).toHaveLength(5);
  });

  it("A11 lets several coordinators fire at the same tick, and each occasion is one run", async () => {
    const stand = await createStand();
    await register(stand, manifestOf({ triggers: [cron, { ...cron, name: "too" }] }));
    const deps = { ...stand, openRun: stand.runs.openRun, ...stand.registry };
    const others = [createTriggers(deps), createTriggers(deps), stand.triggers];
    for (let tick = 0; tick < 3; tick += 1) {
      stand.clock.advance(5 * minuteMs);
      await Promise.all(others.map((triggers) => triggers.fireDue()));
    }
    expect(await runsOf(stand)).toHaveLength(6);
  });

  it("fires the same run again when it died between opening it and moving on", async () => {
    const stand = await createStand();
    await register(stand, manifestOf({ triggers: [cron] }));
    stand.clock.advance(5 * minuteMs);
    const deps = { ...stand, openRun: stand.runs.openRun, ...stand.registry };
    const dying = createTriggers({
      ...deps,
      mover: {
        move: async () => {
          throw new Error("killed");
        },
      },
    });
    expect((await dying.fireDue()).postponed).toHaveLength(1);
    expect(await runsOf(stand)).toHaveLength(1);
    expect((await stand.triggers.fireDue()).fired).toBe(1);
    expect(await runsOf(stand)).toHaveLength(1);
  });

  it("fires only the latest of the occasions that passed while nobody looked", async () => {
    const stand = await createStand();
    await register(stand, manifestOf({ triggers: [cron] }));
    stand.clock.advance(24 * 60 * minuteMs);
    await stand.triggers.fireDue();
    await stand.triggers.fireDue();
    expect(await runsOf(stand)).toHaveLength(1);
    const { nextInMs } = await stand.triggers.fireDue();
    expect(nextInMs).toBeGreaterThan(0);
    expect(nextInMs).toBeLessThanOrEqual(5 * minuteMs);
  });

  it("follows the newest release: a trigger that is gone fires no more, one whose rule is the same misses nothing", async () => {
    const stand = await createStand();
    await register(stand, manifestOf({ triggers: [cron, { ...cron, name: "gone" }] }));
    const before = (await stand.triggers.listTriggers({ limit: 10 })).rows.find(({ name }) => name === "often");
    stand.clock.advance(6 * minuteMs);
    await register(stand, manifestOf({ triggers: [cron], note: "Without." }));
    const after = (await stand.triggers.listTriggers({ limit: 10 })).rows;
    expect(after.map(({ name, nextAtMs }) => [name, nextAtMs])).toEqual([["often", before?.nextAtMs]]);
    expect((await stand.triggers.fireDue()).fired).toBe(1);
    expect((await runsOf(stand)).map(({ trigger }) => trigger.name)).toEqual(["often"]);
  });

  it("moves on from an occasion that can open no run, and says why", async () => {
    const stand = await createStand();
    await register(stand, manifestOf({ triggers: [cron] }));
    stand.clock.advance(5 * minuteMs);
    const deps = { ...stand, openRun: stand.runs.openRun, ...stand.registry };
    const triggers = createTriggers({
      ...deps,
      checkInput: () => stand.registry.checkInput({ release: null as never, workflow: "x", input: 1 }),
      readCurrentRelease: async () => null,
    });
    await triggers.fireDue();
    expect((await triggers.listTriggers({ limit: 1 })).rows[0]?.lastProblem).toMatch(/no project/);
    expect((await triggers.fireDue()).fired).toBe(0);
  });
});

describe("receiveWebhook", () => {
  const deliver = async (
    stand: Stand,
    secret: string,
    changes: Partial<{ id: string; body: string; sent: string; atMs: number; name: string; signature: string }> = {},
  ) => {
    const timestamp = String(Math.floor((changes.atMs ?? stand.clock.nowMs()) / 1000));
    const id = changes.id ?? "msg_1";
    const body = Buffer.from(changes.body ?? '{"n": 1}');
    const signature = changes.signature ?? signDelivery(secret, { id, timestamp, body });
    const delivery = { id, timestamp, signature, body: Buffer.from(changes.sent ?? body) };
    return stand.triggers.receiveWebhook({ project: "shop", trigger: changes.name ?? "hook", delivery });
  };
  const prepare = async () => {
    const stand = await createStand();
    const { triggers } = await register(stand, manifestOf({ triggers: [webhook] }));
    return { stand, secret: triggers[0]?.secret ?? "" };
  };
  const badSignature = { code: "BadSignature" };

  it("shows a webhook's secret at the registration that made it, and not again", async () => {
    const { stand, secret } = await prepare();
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{32}$/);
    const again = await register(stand, manifestOf({ triggers: [webhook], note: "Again." }));
    expect(again.triggers).toEqual([{ name: "hook", kind: "webhook", url: "/v1/triggers/shop/hook/webhook" }]);
    expect((await deliver(stand, secret)).created).toBe(true);
  });

  it("signs as the example of the Standard Webhooks specification does", () => {
    const delivery = {
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
      timestamp: "1614265330",
      body: Buffer.from('{"test": 2432232314}'),
    };
    expect(signDelivery("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", delivery)).toBe(
      "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    );
  });

  it("A67 opens a run with the body as sent, once for each delivery id", async () => {
    const { stand, secret } = await prepare();
    const first = await deliver(stand, secret, { body: '{"n": 12345678901234567890}' });
    const again = await deliver(stand, secret, { body: '{"n": 12345678901234567890}' });
    expect(again).toEqual({ run: first.run, created: false });
    const [run] = await runsOf(stand);
    expect(run).toMatchObject({ input: { json: '{"n": 12345678901234567890}' }, trigger: { kind: "webhook" } });
    await expect(deliver(stand, secret, { body: '{"n": 2}' })).rejects.toMatchObject({ code: "IdempotencyKeyReused" });
    expect((await deliver(stand, secret, { id: "msg_2" })).created).toBe(true);
  });

  it("A67 refuses a wrong secret, a body changed by one space, and a delivery out of its time", async () => {
    const { stand, secret } = await prepare();
    const other = `whsec_${Buffer.alloc(24).toString("base64")}`;
    const nowMs = stand.clock.nowMs();
    const refused: Parameters<typeof deliver>[2][] = [
      { sent: '{"n":  1}' },
      { atMs: nowMs - 5 * minuteMs - 2_000 },
      { atMs: nowMs + 5 * minuteMs + 2_000 },
      { id: "" },
      { id: "with space" },
      { signature: "" },
      { signature: "v1," },
      { signature: "v2,AAAA" },
      { name: "none" },
      { name: "__proto__" },
    ];
    for (const changes of refused) {
      await expect(deliver(stand, secret, changes), JSON.stringify(changes)).rejects.toMatchObject(badSignature);
    }
    await expect(deliver(stand, other)).rejects.toMatchObject(badSignature);
    expect(await runsOf(stand)).toEqual([]);
    expect((await deliver(stand, secret, { atMs: nowMs - 4 * minuteMs })).created).toBe(true);
  });

  it("A67 takes two secrets while they are rotated, and the older no longer after a day", async () => {
    const { stand, secret } = await prepare();
    const rotated = await stand.triggers.rotateSecret({ project: "shop", trigger: "hook", by: "test" });
    const newer = rotated?.secret ?? "";
    expect(newer).not.toBe(secret);
    await deliver(stand, secret, { id: "a" });
    await deliver(stand, newer, { id: "b" });
    const timestamp = String(Math.floor(stand.clock.nowMs() / 1000));
    const parts = { id: "c", timestamp, body: Buffer.from('{"n": 1}') };
    await deliver(stand, newer, { id: "c", signature: `v1,bm90 ${signDelivery(secret, parts)} v1a,xx` });
    stand.clock.advance(24 * 60 * minuteMs + 1_000);
    await deliver(stand, newer, { id: "d" });
    await expect(deliver(stand, secret, { id: "e" })).rejects.toMatchObject(badSignature);
    expect(await stand.triggers.rotateSecret({ project: "shop", trigger: "nope", by: "test" })).toBeNull();
  });

  it("refuses a signed body that is not JSON or not what the workflow takes", async () => {
    const { stand, secret } = await prepare();
    await expect(deliver(stand, secret, { body: "n=1" })).rejects.toMatchObject({ code: "BadRequest" });
    await expect(deliver(stand, secret, { body: '{"n":"x"}' })).rejects.toMatchObject({ code: "InvalidInput" });
  });
});
