import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { plants } from "./planted.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));
const run = promisify(execFile);

test.each(Object.keys(plants))(
  "C29 the simulation finds, within 200 seeds, this fault put into the sources: %s",
  async (plant) => {
    const { stdout } = await run(process.execPath, [main, "--plant", plant, "--seeds", "200"], {
      maxBuffer: 64 * 1024 * 1024,
    });
    expect(stdout).toContain(`'${plant}' found by seed`);
  },
  120_000,
);
