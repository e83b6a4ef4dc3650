import { expect, it } from "vitest";
import { runView, startFakeApi } from "../testing/fake-api.ts";
import { salt, temporaryFolder } from "../testing/fake-cli.ts";

it("salt triggers fire takes a trigger of the folder's project by its name alone", async () => {
  const { folder, remove } = await temporaryFolder();
  const api = await startFakeApi({ "POST /v1/triggers/*/*/fire": () => runView() });
  await salt(["init", ".", "--name", "shop"], { cwd: folder });
  const ran = await salt(["triggers", "fire", "nightly"], { cwd: folder, env: { SALT_URL: api.url, SALT_TOKEN: "t" } });
  expect([ran.code, api.requests]).toEqual([0, ["POST /v1/triggers/shop/nightly/fire"]]);
  await api.close();
  await remove();
});
