import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { temporaryFolder } from "./testing/fake-cli.ts";
import { spawnSalt } from "./testing/spawn-salt.ts";

let folder = "";
let remove = async () => {};
beforeAll(async () => {
  ({ folder, remove } = await temporaryFolder());
});
afterAll(() => remove());

/** Makes the Node that starts bin.mjs say that it is an old one. */
const asNode20 = ["--import", 'data:text/javascript,Object.defineProperty(process.versions,"node",{value:"20.1.0"})'];

describe("cli/bin.mjs", () => {
  it("under an old Node goes on in the pinned one, with the same output and exit code", async () => {
    for (const nodeArgs of [[], asNode20]) {
      const version = spawnSalt(["--version"], { cwd: folder, nodeArgs });
      expect(await version.ended).toEqual({ code: 0, signal: null });
      expect(version.out()).toMatch(/^salt \d+\.\d+\.\d+\n$/);
      const wrong = spawnSalt(["bild"], { cwd: folder, nodeArgs });
      expect((await wrong.ended).code).toBe(2);
      expect(wrong.err()).toContain("Did you mean 'build'?");
    }
  });

  it("hands signals on: a coordinator under an old Node stops in order", async () => {
    const data = path.join(await mkdtemp(path.join(folder, "c-")), "data");
    const argv = ["coordinator", "--port", "0", "--data", data, "--log-level", "error"];
    const started = spawnSalt(argv, { cwd: folder, nodeArgs: asNode20 });
    await started.until("The coordinator listens on http://127.0.0.1:");
    await started.until(/salt_\w+\n/);
    started.child.kill("SIGTERM");
    expect(await started.ended).toEqual({ code: 0, signal: null });
    // Only the token goes to stdout, so that a script can take it.
    expect(started.out()).toMatch(/^salt_\w+\n$/);
    expect(await readdir(data)).toContain("salt.db");
  });

  it("writes nothing but JSON to a pipe on stderr when it serves, whatever the log level, also of what stops it", async () => {
    const data = path.join(await mkdtemp(path.join(folder, "c-")), "data");
    const first = spawnSalt(["coordinator", "--port", "0", "--data", data], { cwd: folder });
    await first.until(/salt context add/);
    const [, url = ""] = /listens on (http:[^"]+)"/.exec(first.err()) ?? [];
    const second = spawnSalt(["coordinator", "--port", "0", "--data", data], { cwd: folder });
    expect((await second.ended).code).toBe(1);
    const [, port = ""] = /:(\d+)$/.exec(url) ?? [];
    const taken = spawnSalt(["coordinator", "--port", port, "--data", `${data}2`], { cwd: folder });
    expect((await taken.ended).code).toBe(1);
    const homeless = spawnSalt(["agent", "--url", url, "--data", `${data}3`], { cwd: folder });
    expect((await homeless.ended).code).toBe(4);
    const agent = spawnSalt(["agent", "--data", `${data}3`, "--log-level", "error"], {
      cwd: folder,
      env: { SALT_URL: url, SALT_TOKEN: first.out().trim() },
    });
    await agent.until(/dials/);
    agent.child.kill("SIGTERM");
    expect((await agent.ended).code).toBe(0);
    first.child.kill("SIGTERM");
    await first.ended;
    const linesOf = (text: string) =>
      text
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
    expect(linesOf(first.err())[0]).toMatchObject({ level: 30, msg: `The coordinator listens on ${url}` });
    expect(linesOf(second.err()).at(-1)).toMatchObject({ level: 60, code: "Unavailable" });
    expect(linesOf(taken.err()).at(-1)).toMatchObject({ level: 60, code: "Unavailable", next: expect.any(String) });
    expect(linesOf(homeless.err())).toMatchObject([{ level: 60, code: "NotAuthenticated" }]);
    expect(linesOf(agent.err()).map(({ msg }) => msg)).toEqual([
      expect.stringMatching(/^Agent agt_\w+ dials http/),
      expect.stringMatching(/^Draining/),
    ]);
  });

  it("A73 refuses to listen where other machines can reach it, unless told to", async () => {
    const refused = spawnSalt(["coordinator", "--host", "0.0.0.0", "--port", "0", "--data", path.join(folder, "x")], {
      cwd: folder,
    });
    expect((await refused.ended).code).toBe(1);
    expect(refused.err()).toMatch(/0\.0\.0\.0/);
  });

  it("shows its help within 100 ms, by a machine that starts Node in 40", async () => {
    let fastestMs = Number.POSITIVE_INFINITY;
    let nodeMs = Number.POSITIVE_INFINITY;
    const isFast = () => fastestMs < 100 * Math.max(1, nodeMs / 40);
    for (let tries = 0; tries < 20 && !isFast(); tries++) {
      nodeMs = Math.min(nodeMs, await timed(once(spawn(process.execPath, ["-e", "0"]), "exit")));
      fastestMs = Math.min(fastestMs, await timed(spawnSalt(["--help"], { cwd: folder }).ended));
    }
    expect(isFast(), `help in ${fastestMs} ms, Node in ${nodeMs} ms`).toBe(true);
  });
});

async function timed(ended: Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await ended;
  return performance.now() - startMs;
}
