import { expect, it } from "vitest";
import { startFakeApi } from "../testing/fake-api.ts";
import { salt } from "../testing/fake-cli.ts";

const ada = {
  id: "agt_1",
  name: "ada",
  pool: "default",
  platform: "linux-x64",
  version: "1",
  labels: {},
  capacity: { tasks: 1, workflows: 4 },
  connected: true,
  seenAtMs: 0,
};

it("salt agents get takes a name or an id, and says which name was meant", async () => {
  const api = await startFakeApi({
    "GET /v1/agents": () => ({ rows: [ada], cursor: null }),
    "GET /v1/agents/agt_1": () => ada,
  });
  const get = (name: string) => salt(["agents", "get", name], { env: { SALT_URL: api.url, SALT_TOKEN: "token" } });
  for (const name of ["ada", "agt_1"]) expect((await get(name)).out).toMatch(/^agent +agt_1\nname +ada\n/);
  expect(await get("adda")).toMatchObject({
    code: 3,
    err: "There is no agent 'adda'. Did you mean 'ada'?\n→ salt agents list\n",
  });
  await api.close();
});
