import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { problemSchema, type Role, runViewSchema } from "#shared/protocol/api.ts";
import { type Route, routes } from "#shared/protocol/routes.ts";
import { signDelivery } from "../triggers/signature.ts";
import { binary, binarySha256, call, createStand, manifestOf, register, type Stand } from "./api-stand.ts";

let stand: Stand;
beforeAll(async () => {
  stand = await createStand({ partitions: 2 });
  await register(stand);
});
afterAll(() => stand.mover.close());

const openRun = async (json: object = {}, headers: Record<string, string> = {}) =>
  call(stand, "POST", "/v1/runs", { json: { project: "shop", workflow: "main", input: { n: 1 }, ...json }, headers });

describe("problems", () => {
  it("are documents of RFC 9457 with Salt's code and the request's id", async () => {
    const { status, headers, body } = await call(stand, "GET", "/v1/nothing", { headers: { "x-request-id": "abc-1" } });
    expect(status).toBe(404);
    expect(headers.get("content-type")).toBe("application/problem+json");
    expect(headers.get("x-request-id")).toBe("abc-1");
    expect(problemSchema.parse(body)).toMatchObject({ type: "/errors/NotFound", code: "NotFound", requestId: "abc-1" });
  });

  it("give a request an id of their own where its own will not do", async () => {
    const { headers } = await call(stand, "GET", "/v1/health", { headers: { "x-request-id": "a b" } });
    expect(headers.get("x-request-id")).toMatch(/^req_[0-9a-z]{26}$/);
  });

  it("tell nothing of an error that is ours but the id to look for", async () => {
    const broken = await createStand();
    broken.runs.openRun = async () => {
      throw new Error("secret detail");
    };
    await register(broken);
    const { status, text } = await call(broken, "POST", "/v1/runs", { json: { project: "shop", workflow: "any" } });
    expect(status).toBe(500);
    expect(text).not.toContain("secret detail");
    expect(broken.errors).toHaveLength(1);
  });
});

describe("access", () => {
  const rank: Role[] = ["viewer", "operator", "deployer", "admin"];
  const fill = (path: string) =>
    path
      .replace("{run}", `run_00${"0".repeat(26)}`)
      .replace("{sha256}", "0".repeat(64))
      .replace("{release}", `rel_${"0".repeat(26)}`)
      .replace("{token}", `tok_${"0".repeat(26)}`)
      .replace("{agent}", `agt_${"0".repeat(26)}`)
      .replace(/\{\w+\}/g, "nothing");

  it("lets each role do what its routes say and no more", async () => {
    const own = await createStand();
    for (const role of [...rank, "agent"] as Role[]) {
      const token = await own.tokenOf(role);
      for (const [name, route] of Object.entries<Route>(routes)) {
        const { status } = await call(own, route.method.toUpperCase(), fill(route.path), {
          token,
          ...(route.body ? { json: { wrong: 1 } } : {}),
        });
        const allowed =
          route.role === null ||
          (role === "agent" ? route.agents === true : rank.indexOf(role) >= rank.indexOf(route.role));
        const open = route.role === null;
        if (allowed) expect(open || ![401, 403].includes(status), `${role} ${name}: ${status}`).toBe(true);
        else expect(status, `${role} ${name}`).toBe(403);
      }
    }
  });

  it("answers every route that takes a token with 401 without one", async () => {
    for (const route of Object.values<Route>(routes)) {
      if (route.role === null) continue;
      const { status, headers } = await call(stand, route.method.toUpperCase(), fill(route.path), { token: null });
      expect(status, route.path).toBe(401);
      expect(headers.get("www-authenticate")).toMatch(/^Bearer/);
    }
    for (const authorization of ["Basic abc", `bearer${stand.admin}`, `Bearer ${stand.admin}x`]) {
      const { status } = await call(stand, "GET", "/v1/runs", { token: null, headers: { authorization } });
      expect(status).toBe(401);
    }
  });

  it("A59 answers other spellings of a path with 404 or as the path itself, never with more", async () => {
    const viewer = await stand.tokenOf("viewer");
    const paths = [
      "//v1/tokens",
      "/v1//tokens",
      "/v1/tokens/",
      "/v1%2Ftokens",
      "/v1/%74okens",
      "/v1/./tokens",
      "/v1/x/../tokens",
      "/v1/runs/..%2f..%2ftokens",
      "/v1/runs/..%2ftokens",
      "/v1/runs/%00",
      "/v1/runs/run_%00%00%00%00%00%00",
      "/v1/blobs/..%2f..%2fetc%2fpasswd",
      `/v1/blobs/${"a".repeat(63)}%00`,
      `/v1/blobs/${"０".repeat(64)}`,
      `/v1/blobs/${"A".repeat(64)}`,
      "/v1/blobs/%E2%80%A4%E2%80%A4%2f",
      "/v1/workflows/shop/..%2f..%2f..%2ftokens",
      "/V1/tokens",
      "/v1/runs/%",
      "/v1/runs/%zz",
    ];
    for (const path of paths) {
      const { status } = await call(stand, "GET", path, { token: viewer });
      expect([400, 403, 404], path).toContain(status);
    }
  });

  it("A72 shows a token and a secret once, and in no other answer, problem or stored text", async () => {
    const own = await createStand();
    const hook = { kind: "webhook", name: "hook", workflow: "any" } as const;
    const registered = await register(own, manifestOf({ triggers: [hook] }));
    const secret = registered.triggers[0]?.secret ?? "";
    const made = await call(own, "POST", "/v1/tokens", { json: { name: "ci", role: "viewer" } });
    const token = String(made.body.token);
    expect(token).toMatch(/^salt_/);
    const outputs: string[] = [];
    for (const route of Object.values<Route>(routes)) {
      for (const bearer of [own.admin, token, `${token}x`]) {
        const path = route.path.replace("{project}", "shop").replace("{trigger}", "hook");
        if (route.path === routes.createToken.path && route.method === "post") continue;
        if (route.path === routes.rotateSecret.path) continue;
        const { text, headers } = await call(own, route.method.toUpperCase(), fill(path), {
          token: bearer,
          ...(route.body ? { json: { token, secret } } : {}),
        });
        outputs.push(text, JSON.stringify([...headers]));
      }
    }
    const { rows } = await own.access.listTokens({ limit: 100 });
    const { found } = await own.engine.get(rows.map(({ id }) => `{p0}token/${id}` as never));
    outputs.push(JSON.stringify(found), JSON.stringify(await own.access.listAudit({ limit: 100, after: [] })));
    outputs.push(own.errors.map(String).join());
    for (const canary of [token, own.admin, secret, secret.slice(6)]) {
      expect(outputs.filter((output) => output.includes(canary))).toEqual([]);
    }
  });
});

describe("tokens", () => {
  it("are made, listed and revoked over the API, and revoking works at once", async () => {
    const made = await call(stand, "POST", "/v1/tokens", {
      json: { name: "ci", role: "operator", expiresInMs: 60_000 },
    });
    expect(made.status).toBe(201);
    expect((await call(stand, "GET", "/v1/runs", { token: made.body.token })).status).toBe(200);
    const { body } = await call(stand, "GET", "/v1/tokens");
    expect(body.rows[0]).toMatchObject({ id: made.body.id, name: "ci", role: "operator" });
    expect((await call(stand, "DELETE", `/v1/tokens/${made.body.id}`)).status).toBe(204);
    expect((await call(stand, "GET", "/v1/runs", { token: made.body.token })).status).toBe(401);
    expect((await call(stand, "DELETE", `/v1/tokens/${made.body.id}`)).status).toBe(404);
  });
});

describe("runs", () => {
  it("are opened with a valid input and shown by id, by the beginning of the id, and in the list", async () => {
    const { status, body, headers } = await openRun();
    expect(status).toBe(201);
    const run = runViewSchema.parse(body);
    expect(run).toMatchObject({ project: "shop", workflow: "main", status: "queued", input: { json: '{"n":1}' } });
    expect(run.trigger.by).toMatch(/^first admin \(tok_/);
    expect(headers.get("location")).toBe(`/v1/runs/${run.id}`);
    expect((await call(stand, "GET", `/v1/runs/${run.id}`)).body).toEqual(body);
    expect((await call(stand, "GET", `/v1/runs/${run.id.slice(0, 28)}`)).body).toEqual(body);
    expect((await call(stand, "GET", "/v1/runs?limit=1")).body.rows[0].id).toBe(run.id);
  });

  it("store their input as it was sent, numbers beyond 2^53 included", async () => {
    const text = '{"project":"shop","workflow":"any","input":{"big": 123456789012345678901234567890}}';
    const { body } = await call(stand, "POST", "/v1/runs", { text });
    expect(body.input).toEqual({ json: '{"big": 123456789012345678901234567890}' });
  });

  it("keep a large input as a blob", async () => {
    const input = "x".repeat(20_000);
    const { body } = await openRun({ workflow: "any", input });
    expect(body.input).toEqual({ blob: sha256(JSON.stringify(input)), bytes: 20_002 });
    const blob = await call(stand, "GET", `/v1/blobs/${body.input.blob}`);
    expect(await blob.response.text()).toBe(JSON.stringify(input));
  });

  it("are not opened with an input that the workflow's schema refuses, and the answer names the paths", async () => {
    const { status, body } = await openRun({ input: { n: "1" } });
    expect(status).toBe(400);
    expect(body).toMatchObject({
      code: "InvalidInput",
      details: { issues: [{ path: "/n", message: "must be number" }] },
    });
    expect((await openRun({ workflow: "nope" })).body.code).toBe("UnknownWorkflow");
    expect((await openRun({ project: "nope" })).body.code).toBe("UnknownWorkflow");
    expect((await openRun({ priority: 1_000 })).body).toMatchObject({
      code: "BadRequest",
      details: { issues: [{ path: "/priority" }] },
    });
    expect((await openRun({ priorty: 1 })).body.detail).toMatch(/priorty/);
  });

  it("A70 are the same run under the same Idempotency-Key, and 409 when it comes with another body", async () => {
    const key = { "idempotency-key": "order-17" };
    const first = await openRun({}, key);
    const again = await openRun({}, key);
    expect([first.status, again.status]).toEqual([201, 200]);
    expect(again.body.id).toBe(first.body.id);
    const other = await openRun({ input: { n: 2 } }, key);
    expect(other.status).toBe(409);
    expect(other.body).toMatchObject({ code: "IdempotencyKeyReused", details: { run: first.body.id } });
    expect((await openRun({ workflow: "any" }, key)).status).toBe(409);
    const racing = await Promise.all([1, 2, 3, 4].map(() => openRun({}, { "idempotency-key": "race" })));
    expect(new Set(racing.map(({ body }) => body.id)).size).toBe(1);
    expect(racing.filter(({ status }) => status === 201)).toHaveLength(1);
    for (const bad of ["", "with space", "x".repeat(256)]) {
      expect((await openRun({}, { "idempotency-key": bad })).status, bad).toBe(400);
    }
  });

  it("are listed newest first over the partitions, each once, page by page, by filter", async () => {
    const own = await createStand({ partitions: 3 });
    await register(own);
    const ids: string[] = [];
    for (let n = 0; n < 7; n += 1) {
      const workflow = n % 2 === 0 ? "main" : "any";
      const { body } = await call(own, "POST", "/v1/runs", { json: { project: "shop", workflow, input: { n } } });
      ids.unshift(body.id);
      own.clock.advance(1_000);
    }
    const walk = async (filter: string) => {
      const seen: string[] = [];
      let cursor: string | null = "";
      while (cursor !== null) {
        const path: string = `/v1/runs?limit=2${filter}${cursor ? `&cursor=${cursor}` : ""}`;
        const { body } = await call(own, "GET", path);
        seen.push(...body.rows.map(({ id }: { id: string }) => id));
        cursor = body.cursor;
      }
      return seen;
    };
    expect(await walk("")).toEqual(ids);
    expect(await walk("&workflow=main")).toEqual(ids.filter((_, index) => index % 2 === 0));
    expect(await walk("&project=other")).toEqual([]);
    expect(await walk("&status=queued")).toEqual(ids);
    expect(await walk("&status=failed")).toEqual([]);
    const bad = await call(own, "GET", "/v1/runs?cursor=zzz");
    expect([bad.status, bad.body.code]).toEqual([400, "BadRequest"]);
    expect((await call(own, "GET", "/v1/runs?limit=0")).status).toBe(400);
    expect((await call(own, "GET", "/v1/runs?limit=1&limit=2")).status).toBe(400);
    expect((await call(own, "GET", "/v1/runs?status=lost")).status).toBe(400);
    const misspelt = await call(own, "GET", "/v1/runs?state=failed");
    expect([misspelt.status, misspelt.body.detail]).toEqual([
      400,
      expect.stringContaining("there is no 'state' in it"),
    ]);
    expect(misspelt.body.next).toContain("status");
    const cut = await call(own, "GET", "/v1/runs/run_01");
    expect([cut.status, cut.body.detail]).toEqual([404, "'run_01' is no run's id."]);
    const digest = await call(own, "GET", "/v1/blobs/abc");
    expect(digest.body.detail).toBe("'abc' is no SHA-256 in lower-case hexadecimal digits.");
  });

  it("answer 404 where there is none, and say so of a beginning that fits several", async () => {
    const none = `run_00${"0".repeat(26)}`;
    for (const path of [
      "",
      "/tasks",
      "/tasks/x%231",
      "/journal",
      "/journal/stream",
      "/logs",
      "/logs/stream",
      "/output",
    ]) {
      expect((await call(stand, "GET", `/v1/runs/${none}${path}`)).status, path).toBe(404);
    }
    expect((await call(stand, "POST", `/v1/runs/${none}/cancel`)).status).toBe(404);
    expect((await call(stand, "POST", `/v1/runs/${none}/signals/go`, { json: {} })).status).toBe(404);
    expect((await call(stand, "GET", "/v1/runs/run_zz0000")).status).toBe(404);
    const own = await createStand();
    await register(own);
    for (const n of [1, 2])
      await call(own, "POST", "/v1/runs", { json: { project: "shop", workflow: "main", input: { n } } });
    const { status, body } = await call(own, "GET", "/v1/runs/run_000000");
    expect([200, 400, 404]).toContain(status);
    if (status === 400) expect(body.detail).toMatch(/begin so/);
  });

  it("are cancelled and signalled, with entries in journal and audit log", async () => {
    const { body: run } = await openRun();
    const signal = await call(stand, "POST", `/v1/runs/${run.id}/signals/approve`, {
      json: { id: "s1", value: { by: "ada" } },
    });
    expect([signal.status, signal.body]).toEqual([202, { id: "s1" }]);
    const cancelled = await call(stand, "POST", `/v1/runs/${run.id}/cancel`, { json: { reason: "not needed" } });
    expect([cancelled.status, cancelled.body.status]).toEqual([202, "cancelling"]);
    const { body: journal } = await call(stand, "GET", `/v1/runs/${run.id}/journal`);
    expect(journal.rows.map(({ position, e }: { position: number; e: string }) => [position, e])).toEqual([
      [1, "opened"],
      [2, "signal"],
      [3, "cancel"],
    ]);
    expect(journal.rows[1]).toMatchObject({ id: "s1", name: "approve", value: { json: '{"by":"ada"}' } });
    const page = await call(stand, "GET", `/v1/runs/${run.id}/journal?after=1&limit=1`);
    expect(page.body).toMatchObject({ rows: [{ position: 2 }], cursor: "2" });
    const { body: audit } = await call(stand, "GET", "/v1/audit?limit=500");
    const actions = audit.rows.filter(({ object }: { object: string }) => object.startsWith(run.id));
    expect(actions.map(({ action }: { action: string }) => action).sort()).toEqual(["run.cancel", "run.signal"]);
    expect((await call(stand, "GET", `/v1/runs/${run.id}/output`)).status).toBe(404);
  });
});

describe("registry", () => {
  it("shows workflows with their schemas, releases with their manifests", async () => {
    const { body: workflows } = await call(stand, "GET", "/v1/workflows");
    expect(workflows.rows.map(({ name }: { name: string }) => name)).toEqual(["main", "any", "defaulting"]);
    const { body: workflow } = await call(stand, "GET", "/v1/workflows/shop/main");
    expect(workflow).toMatchObject({ project: "shop", input: { required: ["n"] }, tasks: ["score"] });
    const { body: releases } = await call(stand, "GET", "/v1/releases?project=shop");
    expect(releases.rows).toHaveLength(1);
    const { body: release } = await call(stand, "GET", `/v1/releases/${releases.rows[0].id}`);
    expect(release).toMatchObject({ current: true, manifest: { project: "shop" } });
    for (const path of ["/v1/workflows/shop/nope", "/v1/workflows/nope/main", `/v1/releases/rel_${"0".repeat(26)}`]) {
      expect((await call(stand, "GET", path)).status, path).toBe(404);
    }
  });

  it("registers over the API, and names the paths of a manifest that will not do", async () => {
    const manifest = manifestOf({ project: "posted" });
    const first = await call(stand, "POST", "/v1/releases", { json: { manifest } });
    const again = await call(stand, "POST", "/v1/releases", { json: { manifest } });
    expect([first.status, again.status]).toEqual([201, 200]);
    const bad = await call(stand, "POST", "/v1/releases", { json: { manifest: { ...manifest, project: "a b" } } });
    expect(bad.body).toMatchObject({ code: "InvalidManifest", details: { issues: [{ path: "/manifest/project" }] } });
    const huge = {
      ...manifest,
      description: {
        ...manifest.description,
        workflows: [{ ...manifest.description.workflows[1], input: { description: "x".repeat(1_200_000) } }],
      },
    };
    expect((await call(stand, "POST", "/v1/releases", { json: { manifest: huge } })).body).toMatchObject({
      code: "TooLarge",
      detail: expect.stringMatching(/manifestBytesMax/),
    });
  });
});

describe("triggers", () => {
  it("are listed, fired by hand and by signed deliveries, and their secrets changed, over the API", async () => {
    const own = await createStand();
    const cron = {
      kind: "cron",
      name: "daily",
      workflow: "main",
      cron: "0 0 * * *",
      timezone: "UTC",
      input: { n: 7 },
    } as const;
    const hook = { kind: "webhook", name: "hook", workflow: "main" } as const;
    const { triggers } = await register(own, manifestOf({ triggers: [cron, hook] }));
    const { body: list } = await call(own, "GET", "/v1/triggers");
    expect(list.rows).toMatchObject([
      { name: "daily", cron: "0 0 * * *", nextAtMs: expect.any(Number) },
      { name: "hook", url: "/v1/triggers/shop/hook/webhook", nextAtMs: null },
    ]);
    const fired = await call(own, "POST", "/v1/triggers/shop/daily/fire", { headers: { "idempotency-key": "k" } });
    const again = await call(own, "POST", "/v1/triggers/shop/daily/fire", { headers: { "idempotency-key": "k" } });
    expect([fired.status, again.status, again.body.id]).toEqual([201, 200, fired.body.id]);
    expect(fired.body).toMatchObject({ input: { json: '{"n":7}' }, trigger: { kind: "manual", name: "daily" } });
    const other = await call(own, "POST", "/v1/triggers/shop/daily/fire", { json: { input: { n: 8 } } });
    expect(other.body.input).toEqual({ json: '{"n":8}' });
    expect((await call(own, "POST", "/v1/triggers/shop/nope/fire")).status).toBe(404);

    const deliver = async (secret: string, id: string, text = '{"n":1}') => {
      const timestamp = String(Math.floor(own.clock.nowMs() / 1_000));
      const signature = signDelivery(secret, { id, timestamp, body: Buffer.from(text) });
      const headers = { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature };
      return call(own, "POST", "/v1/triggers/shop/hook/webhook", { token: null, text, headers });
    };
    const secret = triggers[1]?.secret ?? "";
    expect(await deliver(secret, "m1")).toMatchObject({ status: 202, body: { created: true } });
    expect(await deliver("whsec_AAAA", "m2")).toMatchObject({ status: 401, body: { code: "BadSignature" } });
    expect(await deliver(secret, "m3", `"${"x".repeat(limits.requestBytesMax)}"`)).toMatchObject({ status: 413 });
    const rotated = await call(own, "POST", "/v1/triggers/shop/hook/secrets");
    expect([rotated.status, (await deliver(rotated.body.secret, "m4")).status]).toEqual([201, 202]);
    expect((await call(own, "POST", "/v1/triggers/shop/daily/secrets")).status).toBe(404);
  });
});

describe("events and agents", () => {
  it("take an event, and answer the lists of agents", async () => {
    const sent = await call(stand, "POST", "/v1/events", {
      json: { project: "shop", name: "paid", id: "e1", value: { n: 1 } },
    });
    expect(sent).toMatchObject({ status: 202, body: { id: "e1", position: expect.any(Number) } });
    const lost = await call(stand, "POST", "/v1/events", { json: { project: "shpo", name: "paid" } });
    expect([lost.status, lost.body.detail]).toEqual([404, "Cannot send the event: there is no project 'shpo'."]);
    expect((await call(stand, "GET", "/v1/agents")).body).toEqual({ rows: [], cursor: null });
    expect((await call(stand, "GET", `/v1/agents/agt_${"0".repeat(26)}`)).status).toBe(404);
  });
});

describe("blobs", () => {
  it("are put and had by digest, whole, in part and by HEAD", async () => {
    const bytes = Buffer.from("0123456789");
    const digest = sha256(bytes);
    expect(
      (await call(stand, "POST", "/v1/blobs/missing", { json: { digests: [digest, binarySha256] } })).body,
    ).toEqual({ missing: [digest] });
    expect((await call(stand, "PUT", `/v1/blobs/${digest}`, { text: bytes })).body).toEqual({
      sha256: digest,
      bytes: 10,
    });
    const get = (headers: Record<string, string>, method = "GET") =>
      call(stand, method, `/v1/blobs/${digest}`, { headers });
    const cases: [string, number, string, string | null][] = [
      ["bytes=2-4", 206, "234", "bytes 2-4/10"],
      ["bytes=7-", 206, "789", "bytes 7-9/10"],
      ["bytes=-3", 206, "789", "bytes 7-9/10"],
      ["bytes=8-100", 206, "89", "bytes 8-9/10"],
      ["bytes=10-", 416, "", "bytes */10"],
      ["bytes=-0", 416, "", "bytes */10"],
      ["bytes=4-2", 200, "0123456789", null],
      ["bytes=0-1,3-4", 200, "0123456789", null],
      ["lines=1-2", 200, "0123456789", null],
    ];
    for (const [range, status, text, contentRange] of cases) {
      const { response } = await get({ range });
      expect([response.status, await response.text(), response.headers.get("content-range")], range).toEqual([
        status,
        text,
        contentRange,
      ]);
    }
    const head = await get({}, "HEAD");
    expect([head.status, head.headers.get("content-length"), head.text]).toEqual([200, "10", ""]);
    expect((await get({ "if-none-match": `"${digest}"` })).status).toBe(304);
    expect((await call(stand, "HEAD", `/v1/blobs/${"0".repeat(64)}`)).status).toBe(404);
  });

  it("are refused when their bytes are others", async () => {
    const { status, body } = await call(stand, "PUT", `/v1/blobs/${"0".repeat(64)}`, { text: binary });
    expect([status, body.code]).toEqual([422, "DigestMismatch"]);
  });
});

describe("bodies", () => {
  it("A54 that are malformed, nested, ambiguous or not UTF-8 are answered with a typed 400", async () => {
    const bodies: (string | Uint8Array)[] = [
      "{",
      "[]",
      "null",
      '"x"',
      '{"project":"shop","project":"shop","workflow":"any"}',
      `{"project":"shop","workflow":"any","input":${"[".repeat(1_000)}${"]".repeat(1_000)}}`,
      '{"project":"shop","workflow":"any","input":1e999}',
      '{"project":"shop","workflow":"any","input":"\\ud800"}',
      Buffer.from([0x7b, 0xff, 0x7d]),
    ];
    for (const text of bodies) {
      const { status, body } = await call(stand, "POST", "/v1/runs", { text });
      expect([status, body.code], String(text).slice(0, 60)).toEqual([400, "BadRequest"]);
    }
    expect((await call(stand, "GET", "/v1/health")).status).toBe(200);
  });

  it("A60 with members named like parts of a prototype change nothing", async () => {
    const poison = '{"project":"shop","workflow":"any","input":{"__proto__":{"polluted":1}}}';
    expect((await call(stand, "POST", "/v1/runs", { text: poison })).status).toBe(400);
    const inert = { constructor: { prototype: { polluted: 1 } } };
    expect((await openRun({ workflow: "any", input: inert })).status).toBe(201);
    await call(stand, "GET", "/v1/runs?__proto__=1&constructor=2&toString=3");
    for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      expect([400, 404], name).toContain((await call(stand, "GET", `/v1/workflows/${name}/${name}`)).status);
      expect((await openRun({ project: name })).status, name).toBeGreaterThanOrEqual(400);
    }
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  it("beyond the bound are refused with its name, before they are read", async () => {
    const text = `{"project":"shop","workflow":"any","input":"${"x".repeat(limits.requestBytesMax)}"}`;
    const { status, body } = await call(stand, "POST", "/v1/runs", { text });
    expect(status).toBe(413);
    expect(body.detail).toContain("requestBytesMax");
  });
});

describe("openapi.json", () => {
  it("describes every route, with schemas that resolve", async () => {
    const { status, body, text } = await call(stand, "GET", "/v1/openapi.json", { token: null });
    expect(status).toBe(200);
    expect(body.openapi).toBe("3.1.0");
    for (const route of Object.values<Route>(routes))
      expect(body.paths[route.path][route.method], route.path).toBeDefined();
    const refs = [...text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name ?? "");
    expect(refs).toContain("Failure");
    for (const name of refs) expect(body.components.schemas[name], name).toBeDefined();
    expect(text).not.toContain("#/$defs/");
    const limit = body.paths["/v1/runs"].get.parameters.find(({ name }: { name: string }) => name === "limit");
    const status_ = body.paths["/v1/runs"].get.parameters.find(({ name }: { name: string }) => name === "status");
    expect([limit.required, status_.required]).toEqual([false, false]);
    expect(body.components.schemas.OpenRun.required).toEqual(["project", "workflow"]);
    const { responses, requestBody } = body.paths["/v1/runs"].post;
    expect([Object.keys(responses), requestBody.required]).toEqual([["200", "201", "default"], true]);
    expect(body.paths["/v1/blobs/{sha256}"].put.requestBody.content).toEqual({ "application/octet-stream": {} });
    expect(body.paths["/v1/runs/{run}/logs/stream"].get.parameters).toContainEqual(
      expect.objectContaining({ name: "Last-Event-ID", in: "header" }),
    );
  });
});
