import type { Cli } from "./cli.ts";

/** Resolves at the first Ctrl-C or SIGTERM. A second Ctrl-C ends the process at once. */
export function untilStopped(cli: Cli): Promise<"interrupted" | "terminated"> {
  return new Promise((resolve) => {
    let asked = false;
    cli.onInterrupt(() => {
      if (asked) process.exit(130);
      asked = true;
      resolve("interrupted");
    });
    process.once("SIGTERM", () => {
      asked = true;
      resolve("terminated");
    });
  });
}
