/** Does no-op jobs. `node worker.ts <folder>`. */
import { connect } from "node:net";
import { join } from "node:path";
import { type Job, type Result, readLines, writeLines } from "./lines.ts";

const noop = (n: number): number => n;

const socket = connect(join(process.argv[2] ?? ".", "bare.sock"), () => {
  writeLines(socket, [{ role: "worker" }]);
  process.send?.({ ready: true });
});
readLines(socket, (lines) => {
  const results = lines.map((line): Result => {
    const { key, input } = JSON.parse(line) as Job;
    return { key, output: noop(input) };
  });
  writeLines(socket, results);
});
process.on("disconnect", () => process.exit(0));
