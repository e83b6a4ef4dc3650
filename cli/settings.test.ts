import { mkdir, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeContexts } from "./contexts.ts";
import { readSettings } from "./settings.ts";
import { salt, temporaryFolder } from "./testing/fake-cli.ts";

let folder = "";
let remove = async () => {};
let config = "";
const dev = { url: "http://127.0.0.1:9001", token: "dev-token" };

beforeAll(async () => {
  ({ folder, remove } = await temporaryFolder());
  config = path.join(folder, "contexts.json");
  await mkdir(path.join(folder, "project", ".salt"), { recursive: true });
  await mkdir(path.join(folder, "project", "src"));
  await writeFile(path.join(folder, "project", ".salt", "dev.json"), JSON.stringify(dev));
  await writeContexts(
    { SALT_CONFIG: config },
    {
      current: "home",
      contexts: {
        home: { url: "https://home.example", token: "home-token" },
        work: { url: "https://work.example", token: "work-token" },
      },
    },
  );
});
afterAll(() => remove());

const settings = async (env: NodeJS.ProcessEnv, flags = {}, cwd = folder) => {
  const { url, token } = await readSettings({ env: { SALT_CONFIG: config, ...env }, cwd }, flags);
  return [url.value, token?.value ?? null, url.origin];
};

describe("settings", () => {
  it("come from flag, environment, project file, saved context and default, in this order", async () => {
    const project = path.join(folder, "project", "src");
    const env = { SALT_URL: "http://env.example", SALT_TOKEN: "env-token" };
    expect(await settings(env, { url: "http://flag.example", token: "t" }, project)).toEqual([
      "http://flag.example",
      "t",
      "flag --url",
    ]);
    expect(await settings(env, { context: "work" }, project)).toEqual([
      "https://work.example",
      "work-token",
      "flag --context work",
    ]);
    expect(await settings(env, {}, project)).toEqual(["http://env.example", "env-token", "SALT_URL"]);
    expect(await settings({ SALT_CONTEXT: "work" }, {}, project)).toEqual([
      "https://work.example",
      "work-token",
      "SALT_CONTEXT",
    ]);
    expect(await settings({}, {}, project)).toEqual([dev.url, dev.token, "../.salt/dev.json"]);
    expect(await settings({})).toEqual(["https://home.example", "home-token", "context home"]);
    expect(await settings({ SALT_CONFIG: "/nonexistent/x.json" })).toEqual(["http://127.0.0.1:7420", null, "default"]);
  });

  it("name several coordinators by comma, each of which has to be an address", async () => {
    const env = { SALT_CONFIG: config, SALT_URL: "https://a.example, https://b.example/" };
    expect(await readSettings({ env, cwd: folder }, {})).toMatchObject({
      url: { value: "https://a.example", origin: "SALT_URL" },
      others: ["https://b.example"],
    });
    await expect(readSettings({ env: { ...env, SALT_URL: "https://a.example,b" }, cwd: folder }, {})).rejects.toThrow(
      "'b' (SALT_URL) is no address of a coordinator",
    );
  });

  it("never send a token of the environment to an address that a folder names", async () => {
    const project = path.join(folder, "project");
    expect((await settings({ SALT_TOKEN: "secret" }, {}, project))[1]).toBe("dev-token");
  });

  it("pass over a project file with an address of another machine", async () => {
    const hostile = path.join(folder, "hostile");
    await mkdir(path.join(hostile, ".salt"), { recursive: true });
    await writeFile(
      path.join(hostile, ".salt", "dev.json"),
      JSON.stringify({ url: "http://evil.example", token: "x" }),
    );
    expect((await settings({}, {}, hostile))[0]).toBe("https://home.example");
  });

  it("refuse an unknown context with the nearest one, and an address that is none", async () => {
    await expect(settings({ SALT_CONTEXT: "wrok" })).rejects.toThrow(
      "There is no context 'wrok' (SALT_CONTEXT). Did you mean 'work'?",
    );
    await expect(settings({}, { context: "constructor" })).rejects.toThrow("There is no context 'constructor'");
    await expect(settings({ SALT_URL: "localhost:7420" })).rejects.toThrow("'localhost:7420' (SALT_URL) is no address");
  });
});

describe("salt context", () => {
  it("saves a token from stdin in a file that only its owner reads", async () => {
    const file = path.join(folder, "own", "contexts.json");
    const env = { SALT_CONFIG: file };
    const added = await salt(["context", "add", "site", "--url", "https://s.example", "--token", "-"], {
      env,
      stdin: "tok\n",
    });
    expect(added.code).toBe(0);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const listed = await salt(["context", "list", "--json"], { env });
    expect(JSON.parse(listed.out)).toEqual([{ name: "site", url: "https://s.example", current: true, token: true }]);
    const view = await salt(["config", "view", "--show-origin"], { env });
    expect(view.out).toContain("https://s.example  (context site)");
    expect(view.out).not.toMatch(/\btok\b/);
  });
});
