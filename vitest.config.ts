import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { ClosingLine } from "./tests/support/closing-line.ts";

export default defineConfig({
  test: {
    include: ["**/*.test.ts"],
    exclude: ["**/node_modules/**", "**/dist/**", "**/.salt/**"],
    globalSetup: ["tests/support/install-servers.ts"],
    pool: "forks",
    // Most tests wait for processes more than they compute: with one for each core, a quarter of the time nothing is done.
    maxWorkers: availableParallelism() + 1,
    reporters: ["default", new ClosingLine()],
    testTimeout: 20_000,
    hookTimeout: 60_000,
  },
});
