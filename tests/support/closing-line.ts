import type { Reporter, TestModule } from "vitest/node";

/** Ends a test run with one plain line, for whoever reads only the last one. */
export class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const counts = { passed: 0, failed: errors.length, skipped: 0 };
    for (const module of modules) {
      let tests = 0;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        tests += 1;
        if (state !== "pending") counts[state] += 1;
      }
      // A file that could not be loaded has no tests to count.
      if (module.state() === "failed" && tests === 0) counts.failed += 1;
    }
    const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : "";
    process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed${skipped}\n`);
  }
}
