/**
 * Sends jobs and adds up their results. `node producer.ts <folder>`; told by its parent `{round, jobs, together}`, it
 * answers `{sum, times}`: how long it all took, or each job where they go one by one.
 */
import { connect } from "node:net";
import { join } from "node:path";
import { type Job, type Result, readLines, writeLines } from "./lines.ts";

export interface Order {
  readonly round: string;
  readonly jobs: number;
  /** All at once; else each when the one before is done. */
  readonly together: boolean;
}

export interface Report {
  readonly sum: number;
  readonly timesMs: readonly number[];
}

const chunkJobs = 500;
let done: (results: readonly Result[]) => void = () => undefined;

const socket = connect(join(process.argv[2] ?? ".", "bare.sock"), () => {
  writeLines(socket, [{ role: "producer" }]);
  process.send?.({ ready: true });
});
readLines(socket, (lines) => done(lines.map((line) => JSON.parse(line) as Result)));

/** Sends these jobs and waits for all of their results. */
function sendJobs(batch: readonly Job[]): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  let sum = 0;
  let count = 0;
  done = (results) => {
    for (const { output } of results) sum += output;
    count += results.length;
    if (count === batch.length) resolve(sum);
  };
  for (let from = 0; from < batch.length; from += chunkJobs) writeLines(socket, batch.slice(from, from + chunkJobs));
  return promise;
}

async function carryOut({ round, jobs, together }: Order): Promise<Report> {
  const all = Array.from({ length: jobs }, (_, input): Job => ({ key: `${round}/${input}`, input }));
  const timesMs: number[] = [];
  let sum = 0;
  for (const batch of together ? [all] : all.map((job) => [job])) {
    const startMs = performance.now();
    sum += await sendJobs(batch);
    timesMs.push(performance.now() - startMs);
  }
  return { sum, timesMs };
}

process.on("message", async (order: Order) => process.send?.(await carryOut(order)));
process.on("disconnect", () => process.exit(0));
