/**
 * Adds jobs and waits for their results. `node producer.ts <port of Redis> <queue>`; told by its parent
 * `{jobs, together}`, it answers `{sum, timesMs}`: how long it all took, or each job where they go one by
 * one.
 */
import { Queue, QueueEvents } from "bullmq";
import { Redis } from "ioredis";
import { serveParent } from "../child.ts";

export interface Order {
  /** All at once; else each when the one before is done. */
  readonly together: boolean;
  readonly jobs: number;
}

export interface Report {
  readonly sum: number;
  readonly timesMs: readonly number[];
}

/** Jobs that one `addBulk` adds. */
const bulkJobs = 1_000;
/** A job that is done leaves at once; its result is in the event. To keep it costs BullMQ more. */
const leaving = { removeOnComplete: true };
/** `waitUntilFinished` looks for the job once, and fails where it has left already. */
const staying = { removeOnComplete: { count: 1_000 } };

const [port = "", name = ""] = process.argv.slice(2);
const connect = () => new Redis({ port: Number(port), host: "127.0.0.1", maxRetriesPerRequest: null });
// Events are kept as long as a round needs them: by default the stream holds 10,000 of them, three a job.
const queue = new Queue(name, { connection: connect(), streams: { events: { maxLen: 100_000 } } });
const events = new QueueEvents(name, { connection: connect() });

/** As the documentation has it: many are added by `addBulk`, and what they return comes by `QueueEvents`. */
async function addTogether(jobs: number): Promise<number> {
  const done = Promise.withResolvers<void>();
  const seen = new Set<string>();
  let sum = 0;
  const take = ({ jobId, returnvalue }: { jobId: string; returnvalue: unknown }) => {
    if (seen.has(jobId)) return;
    seen.add(jobId);
    sum += Number(returnvalue);
    if (seen.size === jobs) done.resolve();
  };
  events.on("completed", take);
  const all = Array.from({ length: jobs }, (_, n) => ({ name: "noop", data: n, opts: leaving }));
  for (let from = 0; from < jobs; from += bulkJobs) await queue.addBulk(all.slice(from, from + bulkJobs));
  await done.promise;
  events.off("completed", take);
  return sum;
}

async function carryOut({ jobs, together }: Order): Promise<Report> {
  const timesMs: number[] = [];
  let sum = 0;
  if (together) {
    const startMs = performance.now();
    sum = await addTogether(jobs);
    return { sum, timesMs: [performance.now() - startMs] };
  }
  for (let n = 0; n < jobs; n += 1) {
    const startMs = performance.now();
    const job = await queue.add("noop", n, staying);
    sum += await job.waitUntilFinished(events);
    timesMs.push(performance.now() - startMs);
  }
  return { sum, timesMs };
}

await Promise.all([queue.waitUntilReady(), events.waitUntilReady()]);
serveParent(carryOut);
