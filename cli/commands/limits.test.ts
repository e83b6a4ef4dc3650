import { expect, it } from "vitest";
import { startFakeApi } from "../testing/fake-api.ts";
import { salt } from "../testing/fake-cli.ts";

const row = { project: "shop", name: "model", max: 4, held: 4, waiting: 12 };

it("C17 salt limits list shows each limit with who holds and who waits, as a table and as JSON", async () => {
  const api = await startFakeApi({ "GET /v1/limits": () => ({ rows: [row], cursor: null }) });
  const env = { SALT_URL: api.url, SALT_TOKEN: "token" };
  const table = await salt(["limits", "list"], { env });
  expect(table.out.split("\n").map((line) => line.split(/\s+/))).toEqual([
    ["LIMIT", "MAX", "HELD", "WAITING"],
    ["shop/model", "4", "4", "12"],
    [""],
  ]);
  expect(JSON.parse((await salt(["limits", "list", "--json"], { env })).out)).toEqual([row]);
  await api.close();
});

it("salt limits list says so when no task is under a limit", async () => {
  const api = await startFakeApi({ "GET /v1/limits": () => ({ rows: [], cursor: null }) });
  const { out, err } = await salt(["limits", "list"], { env: { SALT_URL: api.url, SALT_TOKEN: "token" } });
  expect(out + err).toContain("No task is under a limit at the moment");
  await api.close();
});
