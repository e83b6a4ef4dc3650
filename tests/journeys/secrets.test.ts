import { existsSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { routes } from "#shared/protocol/routes.ts";
import { type Journeys, registerJourneys, startJourneys } from "../support/journeys.ts";
import { privateEnv, runSalt } from "../support/salt-process.ts";
import { placesOf, textsOf } from "../support/secrets.ts";

let salt: Journeys;
beforeAll(async () => {
  salt = await startJourneys({ logLevel: "debug" });
}, 120_000);
afterAll(() => salt?.close());

const get = (url: string, token = salt.token) =>
  fetch(salt.url + url, { headers: { authorization: `Bearer ${token}` } });

describe("A72 secrets", () => {
  test("given to a coordinator and an agent are told nowhere: not by programs, not in answers, logs, errors or files", async () => {
    const secret = salt.registered.triggers[0]?.secret ?? "";
    const viewer = await salt.client.call("createToken", { body: { name: "canary", role: "viewer" } });
    const canaries = [salt.token, salt.agentToken, viewer.token];
    const said = new Map<string, string>();

    const { id } = await salt.open("journeys/single", { name: "reveals", input: null });
    await salt.settled(id);
    said.set("what a program was started with", JSON.stringify(await salt.output(id)));
    for (const [what, workflow] of Object.entries({ exits: "exits", wrong: "wrong" })) {
      const failed = await salt.open("journeys/single", { name: workflow, input: { code: 1 } });
      await salt.settled(failed.id);
      said.set(`the failure of ${what}`, JSON.stringify(await (await get(`/v1/runs/${failed.id}`)).json()));
      said.set(`its log`, await (await get(`/v1/runs/${failed.id}/logs`)).text());
    }
    for (const [name, { method, path: route }] of Object.entries(routes)) {
      if (method !== "get" || /stream|blobs/.test(route)) continue;
      const url = route
        .replace("{run}", id)
        .replace("{key}", "reveals%231")
        .replace("{project}", "journeys")
        .replace(/\{\w+\}/g, "x");
      for (const token of [salt.token, viewer.token, `${viewer.token}x`]) {
        said.set(`the answer to ${name}`, `${said.get(name) ?? ""}${await (await get(url, token)).text()}`);
      }
    }
    const env = { ...salt.env, SALT_DEBUG: "1" };
    for (const args of [
      ["runs", "get", "run_nothing"],
      ["config", "view", "--show-origin"],
      ["doctor"],
      ["tokens", "list"],
    ]) {
      const end = await runSalt(args, { cwd: salt.folder, env });
      said.set(`salt ${args.join(" ")}`, end.stdout + end.stderr);
    }
    await fetch(`${salt.url}/v1/triggers/journeys/hook/webhook`, {
      method: "POST",
      headers: { "webhook-id": "x", "webhook-timestamp": "1", "webhook-signature": `v1,${secret}` },
      body: secret,
    });
    // What a crash would leave: the one that ends it is not handled, so that the process says all that it knows.
    salt.coordinator().child.kill("SIGABRT");
    await salt.coordinator().ended;
    await salt.startCoordinator();
    expect(said.size).toBeGreaterThan(20);
    expect(placesOf([...canaries, secret], said)).toEqual([]);
    expect(placesOf(canaries, textsOf(salt))).toEqual([]);
  });

  test("are scanned for in earnest: one that is told is found, in each of its forms", () => {
    const canary = "salt_canary+1/2";
    const texts = new Map([
      ["clear", `x ${canary} y`],
      ["base64", Buffer.from(canary).toString("base64")],
      ["url", encodeURIComponent(canary)],
      ["none", "salt_canary"],
    ]);
    expect(placesOf([canary], texts)).toEqual(["clear", "base64", "url"]);
  });
});

test("A73 a coordinator does not start where other machines can reach it, unless it is told to", async () => {
  const data = path.join(salt.folder, "reachable");
  for (const host of ["0.0.0.0", "::"]) {
    const end = await runSalt(["coordinator", "--host", host, "--port", "0", "--data", data], {
      cwd: salt.folder,
      env: privateEnv(salt.folder),
      timeoutMs: 10_000,
    });
    expect(end).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("--allow-remote") });
  }
  expect(existsSync(path.join(data, "salt.db"))).toBe(false);
});

test("A74 each act of an administrator is in the audit log, with who did it and what was before and after", async () => {
  const { id } = await salt.client.call("createToken", { body: { name: "audited", role: "operator" } });
  await salt.client.call("revokeToken", { params: { token: id } });
  await registerJourneys(salt, { ...salt.manifest, project: "audited", triggers: [] });
  await salt.client.call("rotateSecret", { params: { project: "journeys", trigger: "hook" } });
  const { rows } = await salt.client.call("listAudit", { query: { limit: 500 } });
  const of = (object: string) => rows.filter((row) => row.object.includes(object));
  expect(of(id)).toMatchObject([
    { actor: expect.stringMatching(/./), before: null, after: expect.stringMatching(/^[0-9a-f]{64}$/) },
    { actor: expect.stringMatching(/./), before: expect.stringMatching(/^[0-9a-f]{64}$/) },
  ]);
  expect(of("audited").map(({ after }) => after)).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]);
  const [rotated] = of("hook");
  expect(rotated?.before).not.toBe(rotated?.after);
  expect((await get("/v1/audit", salt.agentToken)).status).toBe(403);
});
