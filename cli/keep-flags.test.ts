import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { CommandOptions } from "./command.ts";
import { keepFlags, keepText, readAges, variableOf } from "./keep-flags.ts";

const read = (options: Record<string, string>, env: Record<string, string> = {}) =>
  readAges({ env }, options as CommandOptions);
const dayMs = 24 * 3600_000;

describe("how long things are kept", () => {
  it("is said by a flag, before its variable, and by neither when neither is given", () => {
    expect(read({})).toEqual({});
    expect(read({ keepRuns: "7d" }, { SALT_KEEP_RUNS: "9d", SALT_KEEP_LOGS: "36h", SALT_KEEP_AGENTS: "" })).toEqual({
      runsMs: 7 * dayMs,
      logsMs: 1.5 * dayMs,
    });
  });

  it("may be for ever", () => {
    expect(read({ keepRuns: "never", keepAudit: "never" })).toEqual({ runsMs: Infinity, auditMs: Infinity });
  });

  it("C24 C9 is refused below what waits and uploads count on", () => {
    expect(() => read({ keepEvents: "14m" })).toThrow("Cannot use --keep-events 14m: it is less than 15m.");
    expect(() => read({}, { SALT_KEEP_BLOBS: "23h" })).toThrow("Cannot use SALT_KEEP_BLOBS 23h: it is less than 1d.");
    expect(() => read({ keepRuns: "5s" })).toThrow("Cannot use --keep-runs 5s: it is less than 1m.");
    expect(() => read({ keepReleases: "30m" })).toThrow("it is less than 1h");
    expect(() => read({ keepRuns: "soon" })).toThrow("'soon' is no duration.");
  });

  it("is in docs/operations.md, each with its flag, variable and default", () => {
    const page = readFileSync(new URL("../docs/operations.md", import.meta.url), "utf8");
    for (const keep of keepFlags) {
      const row = `| \`--keep-${keep.name}\` | \`${variableOf(keep)}\` | ${keepText(keep.defaultMs)} |`;
      expect(page).toContain(row);
    }
  });
});
