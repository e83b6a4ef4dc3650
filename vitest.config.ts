import { defineConfig } from "vitest/config";
import { ClosingLine } from "./tests/support/closing-line.ts";

export default defineConfig({
  test: {
    include: ["**/*.test.ts"],
    exclude: ["**/node_modules/**", "**/dist/**", "**/.salt/**"],
    globalSetup: ["tests/support/install-servers.ts"],
    pool: "forks",
    reporters: ["default", new ClosingLine()],
    testTimeout: 20_000,
    hookTimeout: 60_000,
  },
});
