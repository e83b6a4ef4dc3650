import { beforeAll, describe, expect, it } from "vitest";
import { routes } from "#shared/protocol/routes.ts";
import { call, createStand, register, type Stand, serveStand } from "./api-stand.ts";

let stand: Stand;
let run = "";

beforeAll(async () => {
  stand = await createStand();
  await register(stand);
  run = (await call(stand, "POST", "/v1/runs", { json: { project: "shop", workflow: "any" } })).body.id;
});

const filled = (path: string): string => path.replace("{run}", run).replaceAll(/\{\w+\}/g, "x");

describe("a path of the API", () => {
  it("answers a method that it does not take with 405, and names those that it takes", async () => {
    const cases: [string, string, string][] = [
      ["DELETE", "/v1/runs", "GET, HEAD, POST"],
      ["PUT", `/v1/runs/${run}`, "GET, HEAD"],
      ["GET", `/v1/runs/${run}/cancel`, "POST"],
      ["HEAD", "/v1/events", "POST"],
      ["GET", "/v1/tokens/tok_x", "DELETE"],
      ["PATCH", `/v1/blobs/${"0".repeat(64)}`, "GET, HEAD, PUT"],
      ["OPTIONS", "/v1/health", "GET, HEAD"],
    ];
    for (const [method, path, allow] of cases) {
      const { status, headers, body } = await call(stand, method, path, { token: null });
      expect([status, headers.get("allow")], path).toEqual([405, allow]);
      expect(headers.get("content-type")).toBe("application/problem+json");
      if (method === "HEAD") continue;
      expect(body).toMatchObject({ code: "MethodNotAllowed", status: 405, details: { allow } });
      expect(body.detail).toContain(`it takes ${allow}`);
    }
  });

  it("answers 404 with any method where there is nothing", async () => {
    for (const method of ["GET", "POST", "DELETE", "PATCH"]) {
      const { status, headers, body } = await call(stand, method, "/v1/nothing");
      expect([status, headers.get("allow"), body.code], method).toEqual([404, null, "NotFound"]);
    }
  });

  it("says of the agents' path that it is for WebSockets", async () => {
    const { status, body } = await call(stand, "GET", "/v1/agent", { token: null });
    expect([status, body.code]).toEqual([400, "BadRequest"]);
    expect(body.detail).toContain("asks for no WebSocket");
  });

  it("answers HEAD wherever it answers GET, as that does, but without a body", async () => {
    const server = await serveStand(stand);
    const headers = { authorization: `Bearer ${stand.admin}` };
    for (const { method, path } of Object.values(routes)) {
      if (method !== "get") continue;
      const url = `${server.url}${filled(path)}`;
      const stop = new AbortController();
      const got = await fetch(url, { headers, signal: stop.signal });
      const head = await fetch(url, { method: "HEAD", headers });
      expect([head.status, await head.text()], path).toEqual([got.status, ""]);
      expect(head.headers.get("content-type"), path).toBe(got.headers.get("content-type"));
      const lengths = [got, head].map((response) => response.headers.get("content-length"));
      if (got.ok && lengths[0] !== null) expect(lengths[1] ?? lengths[0], path).toBe(lengths[0]);
      stop.abort();
    }
    expect((await fetch(`${server.url}/v1/runs`, { method: "HEAD" })).status).toBe(401);
    await server.close();
  });
});
