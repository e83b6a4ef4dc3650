/**
 * Adds jobs and waits for their results. `node producer.ts <port of Redis> <queue>`; told by its parent
 * `{jobs, how}`, it answers `{sum, timesMs}`: how long it all took, or each job where they go in turn.
 */
import { Queue, QueueEvents } from "bullmq";
import { Redis } from "ioredis";
import { serveParent } from "../child.ts";

export interface Order {
  /**
   * `bulk`: added by the thousand, and their results counted. `awaited`: each added and awaited by itself, all at once, as
   * code that needs its result does. `in turn`: each when the one before is done.
   */
  readonly how: "bulk" | "awaited" | "in turn";
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
const staying = (jobs: number) => ({ removeOnComplete: { count: jobs } });

const [port = "", name = ""] = process.argv.slice(2);
const connect = () => new Redis({ port: Number(port), host: "127.0.0.1", maxRetriesPerRequest: null });
// Events are kept as long as a round needs them: by default the stream holds 10,000 of them, three a job.
const queue = new Queue(name, { connection: connect(), streams: { events: { maxLen: 100_000 } } });
const events = new QueueEvents(name, { connection: connect() });
// Each job that is awaited listens to both.
queue.setMaxListeners(0);
events.setMaxListeners(0);

/** As the documentation has it: many are added by `addBulk`, and what they return comes by `QueueEvents`. */
async function addInBulk(jobs: number): Promise<number> {
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

/** As the documentation has it for who needs a job's result. */
async function resultOf(n: number, jobs: number): Promise<number> {
  const job = await queue.add("noop", n, staying(jobs));
  return await job.waitUntilFinished(events);
}

async function awaitAll(jobs: number): Promise<number> {
  const results = await Promise.all(Array.from({ length: jobs }, (_, n) => resultOf(n, jobs)));
  return results.reduce((sum, result) => sum + result, 0);
}

async function carryOut({ jobs, how }: Order): Promise<Report> {
  const timesMs: number[] = [];
  const timed = async (work: () => Promise<number>): Promise<number> => {
    const startMs = performance.now();
    const sum = await work();
    timesMs.push(performance.now() - startMs);
    return sum;
  };
  if (how === "bulk") return { sum: await timed(() => addInBulk(jobs)), timesMs };
  if (how === "awaited") return { sum: await timed(() => awaitAll(jobs)), timesMs };
  let sum = 0;
  for (let n = 0; n < jobs; n += 1) sum += await timed(() => resultOf(n, 1_000));
  return { sum, timesMs };
}

await Promise.all([queue.waitUntilReady(), events.waitUntilReady()]);
serveParent(carryOut);
