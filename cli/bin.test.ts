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

  it("A73 refuses to listen where other machines can reach it, unless told to", async () => {
    const refused = spawnSalt(["coordinator", "--host", "0.0.0.0", "--port", "0", "--data", path.join(folder, "x")], {
      cwd: folder,
    });
    expect((await refused.ended).code).toBe(1);
    expect(refused.err()).toMatch(/0\.0\.0\.0/);
  });

  it("shows its help within 100 ms", async () => {
    let fastestMs = Number.POSITIVE_INFINITY;
    for (let tries = 0; tries < 20 && fastestMs >= 100; tries++) {
      const startMs = performance.now();
      await spawnSalt(["--help"], { cwd: folder }).ended;
      fastestMs = Math.min(fastestMs, performance.now() - startMs);
    }
    expect(fastestMs).toBeLessThan(100);
  });
});
